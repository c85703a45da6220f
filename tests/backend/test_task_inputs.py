"""Inputs of tasks on a backend, by which Kubeflow looks them up in its cache, and their sizes.

The tasks that check and plan are run; all others end at once and write nothing, which a launcher takes for well.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from backend.installation import ROOT
from backend.runners import InProcess
from backend.workflow import Pipeline, Run
from tiny_study import LEADERBOARD, PATHUP, SETTINGS, UNIFIED

from histoforge.tasks.table import task_named

PIPELINES = (
    "selective_augmentation",
    "augmentation_study",
    "judge",
    "generator_benchmark",
    "unified",
    "pathup",
    "retraining",
)
CHECKS = {
    "scan_source",
    "find_news",
    "plan_cells",
    "plan_fractions",
    "plan_benchmark",
    "plan_unified",
    "plan_pathup",
    "plan_seeds",
    "plan_judge",
}
READ_ALL = {"scan_source", "find_news", "plan_benchmark", "plan_unified", "plan_pathup", "plan_judge"}
PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['(.*)'\]\}\}")
OVERRIDES = {"generator_benchmark": LEADERBOARD, "unified": UNIFIED, "pathup": PATHUP}
ARGUMENTS = {"generator_benchmark": {"methods": ["dcgan"], "generator_seeds": 2}}
LOCATIONS = {"state", "models", "record"}
"""Inputs of retraining that are folders of the run."""


class Planning(InProcess):
    """Runs the tasks that check and plan."""

    def run(self, image: str, command: Sequence[str], environment: Mapping[str, str], pod: Path, log: Path) -> int:
        """Run the command, or leave an empty log and say yes for each parameter."""
        if component_of(command) in CHECKS:
            return super().run(image, command, environment, pod, log)
        outputs = json.loads(command[command.index("--executor_input") + 1])["outputs"]
        for parameter in outputs.get("parameters", {}).values():
            Path(parameter["outputFile"]).write_text("true")
        log.write_text("")
        return 0


def component_of(command: Sequence[str]) -> str:
    """Return the name of the function that a task runs."""
    match = re.search(r"^def (\w+)\(", command[3], re.MULTILINE)
    assert match
    return match[1]


@pytest.fixture
def inputs(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs a pipeline; returns component and parameters of each task, with its executor's resources."""

    def collect(name: str, **arguments: Any) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
        folder = tmp_path_factory.mktemp(name)
        fixed: dict[str, Any] = {"overrides": OVERRIDES.get(name, SETTINGS), **ARGUMENTS.get(name, {})}
        if name == "judge":
            fixed["synthetic"] = [str(images)]
        if name == "retraining":
            fixed.update(state=str(folder / "state"), models=str(folder / "models"))
        pipeline = Pipeline.load(ROOT / "pipelines" / f"{name}.yaml")
        run = Run(pipeline, Planning(), folder, folder / "objects")
        run.start({"source": str(images), "preset": "", **fixed, **arguments})
        executors = pipeline.spec["deploymentSpec"]["executors"]
        requests = {
            component_of(executor["container"]["command"]): executor["container"]["resources"]
            for executor in executors.values()
        }
        tasks = [
            (component_of(attempt.command), attempt.executor_input["inputs"]["parameterValues"])
            for attempt in run.launcher.attempts
        ]
        return [(component, parameters, requests[component]) for component, parameters in tasks]

    return collect


@pytest.mark.parametrize("name", PIPELINES)
def test_another_setting_of_one_step_leaves_the_inputs_of_the_others(inputs: Any, name: str) -> None:
    overrides = {**OVERRIDES.get(name, SETTINGS), "train_classifier.epochs": 7}
    before, after = inputs(name), inputs(name, overrides=overrides)
    assert [component for component, _, _ in before] == [component for component, _, _ in after]
    assert {component for component, _, _ in before} >= {"preprocess", "train_classifier"}
    for (component, old, _), (_, new, _) in zip(before, after, strict=True):
        changed = {key for key in old if key not in LOCATIONS and old[key] != new[key]}
        assert changed == ({"overrides"} if component in {"train_classifier", *READ_ALL} else set()), component


@pytest.mark.parametrize("name", PIPELINES)
def test_each_task_has_the_size_of_its_kind(inputs: Any, name: str) -> None:
    form = {"cpu": "8", "memory": "32Gi", "cpu_cutting": "2", "memory_training": "64Gi", "memory_evaluating": "16Gi"}
    sizes = {"small": ("1", "2Gi"), "cutting": ("2", "32Gi"), "training": ("8", "64Gi"), "evaluating": ("8", "16Gi")}
    for component, parameters, requests in inputs(name, **form):
        limits = [requests["resourceCpuLimit"], requests["resourceMemoryLimit"]]
        matches = [PLACEHOLDER.fullmatch(limit) for limit in limits]
        amounts = tuple(parameters[match[1]] if match else limit for match, limit in zip(matches, limits, strict=True))
        assert amounts == sizes[task_named(component).size], component
