"""The examples of docs/reuse.md as a backend runs them."""

import contextlib
import re

import pytest
from backend.installation import ROOT
from tiny_study import SETTINGS

from histoforge.classifiers.arms import read_arm
from histoforge.patches import PatchSet


@pytest.fixture(scope="module")
def examples():
    """Definitions of the page, with the files of this checkout."""
    page = (ROOT / "docs" / "reuse.md").read_text(encoding="utf-8")
    names = {}
    with contextlib.chdir(ROOT):
        for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
            if "@dsl.pipeline" in text:
                local = text.replace('load_component_from_url(f"{BASE}/', 'load_component_from_file("')
                exec(compile(local, "docs/reuse.md", "exec"), names)
    return names


def test_components_without_resources(examples, run, images):
    chosen = {name: value for name, value in SETTINGS.items() if name.startswith(("preprocess", "train_classifier"))}
    finished = run(examples["my_baseline"], {"source": str(images), "overrides": chosen})
    assert read_arm(finished.stored("Output"))["arm"] == "mine"


def test_an_artifact_of_an_earlier_run(examples, run, study):
    names = {"patches": "patches", "extractor": "baseline", "generator": "generator"}
    finished = run(examples["my_selection"], {name: study.output(output) for name, output in names.items()})
    assert PatchSet.open(finished.stored("Output")).info.synthetic


def test_an_import_of_nothing_is_told_by_the_task_that_gets_it(examples, run, study):
    from backend.launcher import TaskFailed

    given = {name: study.output("patches") for name in ("patches", "extractor")}
    with pytest.raises(TaskFailed) as failed:
        run(examples["my_selection"], {**given, "generator": "minio://mlpipeline/nowhere"})
    assert failed.value.status == 2


def test_the_pipeline_with_a_gpu_reaches_its_task(examples, compiled):
    (task,) = (
        task
        for component in compiled(examples["my_generator"]).spec["components"].values()
        for task in component.get("dag", {}).get("tasks", {}).values()
    )
    assert set(task["inputs"]["artifacts"]) == {"patches"}
