"""The command of the example TrainJob, run as Kubeflow Trainer does: on two nodes, the first of which writes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import yaml
from trainer_double import write_patches

JOB = Path(__file__).resolve().parents[2] / "manifests" / "components" / "trainer" / "trainjob.yaml"
TINY = "batch_size=8 epochs=1 epoch_steps=1 device=cpu precision=float32"


def test_the_example_job_trains_on_two_nodes_as_one(tmp_path):
    trainer = yaml.safe_load(JOB.read_text(encoding="utf-8"))["spec"]["trainer"]
    write_patches(tmp_path / "patches")
    claim = [argument.replace("/slides", str(tmp_path)) for argument in trainer["args"]]
    claim[claim.index("sane")] = "quickstart"
    settings = [argument for value in TINY.split() for argument in ("--set", value)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nodes = []
    for rank in range(trainer["numNodes"]):
        environment = {"NNODES": trainer["numNodes"], "NPROC_PER_NODE": 1, "NODE_RANK": rank, "MASTER_PORT": port}
        environment = {**os.environ, **{f"PET_{name}": str(value) for name, value in environment.items()}}
        environment.update(PET_MASTER_ADDR="127.0.0.1", OMP_NUM_THREADS="1")
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        command = [*trainer["command"], *claim, *settings]
        with (tmp_path / f"log-{rank}").open("w") as log:
            nodes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path))
    codes = [node.wait(timeout=120) for node in nodes]
    first, second = ((tmp_path / f"log-{rank}").read_text() for rank in (0, 1))
    assert codes == [0, 0], first[-2000:] + second[-2000:]
    assert (tmp_path / "generator" / "model.json").is_file()
    assert "written to" in first
    assert "written to" not in second
