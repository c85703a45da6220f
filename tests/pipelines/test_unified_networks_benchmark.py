"""The unified ViT cGAN and its baseline as entrants of a whole benchmark of generators."""

import json
import subprocess

from running import ENVIRONMENT, PROGRAM
from tiny_study import LEADERBOARD, UNIFIED

NETWORKS = {
    name: value for name, value in UNIFIED.items() if name.startswith(("train_generator.vitgan", "train_generator.med"))
}


def test_networks_that_also_classify_are_ranked_as_generators(source, tmp_path):
    sizes = {"preprocess.patch_size": "32", "preprocess.small_images": "resize"}
    lists = {"methods": '["vitgan", "medvitgan"]', "generator_seeds": 1}
    assignments = {**LEADERBOARD, **NETWORKS, **sizes, **lists}
    settings = [word for name, value in assignments.items() for word in ("--set", f"{name}={value}")]
    command = [PROGRAM, "run", "generator-benchmark", "--source", source, "--out", tmp_path / "out", "--preset", ""]
    done = subprocess.run([*command, *settings], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    methods = json.loads((tmp_path / "out" / "metrics.json").read_text())["methods"]
    assert set(methods) == {"vitgan", "medvitgan"}
    for name, method in methods.items():
        assert {"synthetic", "both"} <= set(method["downstream"]), name
    assert (tmp_path / "out" / "generators-0" / "classifier" / "model.json").is_file()
