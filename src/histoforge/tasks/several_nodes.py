"""Train on several nodes: a task starts a job of Kubeflow Trainer, follows it, and fetches the model.

Task and nodes exchange files below `<checkpoints>/nodes/<job>`: `inputs/` and `task.json` (the step and its settings)
for the nodes, and `outputs/` and `result.json` (the summary and the usage of the first process, or the sentence of an
error) for the task. This module is also the command of each node.
"""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from histoforge import __version__
from histoforge.core.digests import digest_file, digest_json
from histoforge.core.documents import parse_json, read_json
from histoforge.core.errors import HistoforgeError, SettingsError, TrainingError
from histoforge.core.signals import handled_signals
from histoforge.core.timings import Work, work_so_far
from histoforge.steps.step import Step
from histoforge.steps.table import STEPS
from histoforge.storage import Location, open_location
from histoforge.tasks import distributed_launch
from histoforge.tasks.artifact_metadata import artifact_metadata
from histoforge.tasks.kubernetes import Kubernetes, KubernetesError, connect_kubernetes
from histoforge.tasks.task_process import task_process
from histoforge.tasks.train_job import TrainJob
from histoforge.tasks.usage import ProcessPeak, add_children, process_peak

INPUTS, TASK, OUTPUTS, RESULT = "inputs", "task.json", "outputs", "result.json"
POD = "KFP_POD_NAME"
"""Environment variable: the name of the task's pod, set by Kubeflow Pipelines."""


def train(step: Step, config: Any, paths: Mapping[str, Any]) -> Any:
    """Run a step on `config.nodes` nodes, and return its summary.

    A retry of a task that was killed follows the job that is still running. However else the task ends, it deletes the
    job; the checkpoints remain for a retry.

    Args:
        step: the step.
        config: its settings, with `checkpoints`.
        paths: its inputs and outputs by keyword.

    Raises:
        HistoforgeError: this is no pod of Kubeflow, Kubeflow Trainer is missing, or as the step reports.
        SystemExit: on SIGTERM, or if the job failed.
    """
    api, pod = _own_pod(config.nodes)
    if not config.checkpoints:
        raise SettingsError(
            f"nodes is {config.nodes}, and nodes exchange their files through a store: give checkpoints, such as "
            "s3://bucket/checkpoints."
        )
    inputs = {port.name: Path(paths[port.name]) for port in step.inputs if paths.get(port.name) is not None}
    task = {"step": step.name, "config": {**config.model_dump(mode="json"), "nodes": 1}}
    job = TrainJob(api, _name(config.nodes, task, inputs))
    address = f"{config.checkpoints.rstrip('/')}/nodes/{job.name}"
    shared = open_location(address)
    try:
        with handled_signals({signal.SIGTERM: _stop}):
            if "summary" not in _result(shared):
                shared.delete(RESULT)
                _share(shared, inputs, task)
                job.start(config.nodes, pod, ["python3", "-m", "histoforge.tasks.several_nodes", address])
                job.follow(lambda: "error" in _result(shared))
            summary = _fetch(shared, step, paths)
    except BaseException:
        job.delete()
        raise
    job.delete()
    for entry in shared.entries():
        shared.delete(entry.name)
    return summary


def _own_pod(nodes: int) -> tuple[Kubernetes, dict[str, Any]]:
    """Return Kubernetes, and the pod of this task.

    Raises:
        HistoforgeError: this process is not a task of Kubeflow, or may not read its pod.
    """
    name, api = os.environ.get(POD), connect_kubernetes()
    if name is None or api is None:
        raise SettingsError(
            f"nodes is {nodes}, which only a task on Kubeflow can start: give nodes=1, or start torchrun on each node "
            "as docs/kubeflow.md says."
        )
    try:
        pod = api.get("", "v1", "pods", name, api.namespace)
    except KubernetesError as error:
        pod, name = None, f"{name} ({error})"
    if pod is None:
        raise TrainingError(f"The task could not read its own pod {name}: run as a service account that may.")
    return api, pod


def _name(nodes: int, task: Mapping[str, Any], inputs: Mapping[str, Path]) -> str:
    """Return the name of the job, which is the same for each attempt at a task."""
    identities = {name: _identity(path) for name, path in inputs.items()}
    return f"histoforge-{digest_json([__version__, nodes, task, identities])[:16]}"


def _share(shared: Location, inputs: Mapping[str, Path], task: Mapping[str, Any]) -> None:
    """Copy the inputs that the nodes cannot find there yet, and then the description of their task."""
    for name, path in inputs.items():
        shared.child(INPUTS).child(name).put_tree(path)
    shared.write(TASK, json.dumps(task, allow_nan=False).encode())


def _result(shared: Location) -> dict[str, Any]:
    """Return the result of the nodes: 'summary' or 'error'; empty as long as there is none."""
    content = shared.read(RESULT)
    return {} if content is None else dict(parse_json(content[0]))


def _fetch(shared: Location, step: Step, paths: Mapping[str, Any]) -> Any:
    """Return the summary of the nodes, and copy their outputs.

    Raises:
        TrainingError: the step ended with an error of the user.
        SystemExit: with code 1 if it ended with another one, which is in the log.
    """
    result = _result(shared)
    if "error" in result:
        raise TrainingError(result["error"])
    if "summary" not in result:
        raise SystemExit(1)
    for port in step.outputs:
        shared.child(OUTPUTS).child(port.name).get_tree(paths[port.name])
    work = {phase: Work(**done) for phase, done in result["work"].items()}
    add_children([(ProcessPeak(*result["peak"]), work)])
    return step.summary_class.model_validate(result["summary"])


def _identity(path: Path) -> str:
    """Return the digest of an input: its own, or that of its files."""
    if digest := artifact_metadata(path).get("digest"):
        return str(digest)
    return digest_json({str(file.relative_to(path)): digest_file(file) for file in path.rglob("*") if file.is_file()})


def _stop(signum: int, _: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def main(address: str, folder: str = "") -> None:
    """Be a node: fetch what the task has shared, and become torchrun, which starts this again once for each GPU.

    Kubeflow Trainer tells torchrun the number of nodes and where the first one is, through its environment.

    Args:
        address: the location that task and nodes share.
        folder: what has been fetched; '' before.
    """
    shared = open_location(address)
    if folder:
        _train_here(shared, Path(folder))
        return
    with task_process("node"):
        folder = tempfile.mkdtemp(prefix="histoforge-")
        shared.get(TASK, Path(folder) / TASK)
        shared.child(INPUTS).get_tree(Path(folder) / INPUTS)
        count = distributed_launch.processes(read_json(Path(folder) / TASK)["config"]["device"])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count)]
    os.execv(sys.executable, [*torchrun, "-m", "histoforge.tasks.several_nodes", address, folder])


def _train_here(shared: Location, folder: Path) -> None:
    """Run the step as one of its processes; the first one writes what the task waits for."""
    task = read_json(folder / TASK)
    step = STEPS[task["step"]]
    outputs = {port.name: folder / OUTPUTS / port.name for port in step.outputs}
    inputs = {port.name: folder / INPUTS / port.name for port in step.inputs}
    given = {name: path if path.is_dir() else None for name, path in inputs.items()}
    first = os.environ["RANK"] == "0"
    (folder / OUTPUTS).mkdir(exist_ok=True)
    with task_process(step.name):
        try:
            summary = distributed_launch.run(step, step.config_class.model_validate(task["config"]), given | outputs)
        except HistoforgeError as error:
            if first:
                shared.write(RESULT, json.dumps({"error": str(error)}).encode())
            raise
        if first:
            for name, path in outputs.items():
                shared.child(OUTPUTS).child(name).put_tree(path)
            work = {phase: asdict(done) for phase, done in work_so_far().items()}
            result = {"summary": summary.model_dump(mode="json"), "peak": process_peak(), "work": work}
            shared.write(RESULT, json.dumps(result).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
