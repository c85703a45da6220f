"""Every pipeline from its compiled file to its outputs, as a backend runs it."""

import json

import pytest
from backend.installation import ROOT
from backend.launcher import TaskFailed
from backend.runners import InProcess, Processes
from backend.workflow import Pipeline, Run
from tiny_study import LEADERBOARD, SETTINGS


def results(run):
    return json.loads(run.stored("metrics").read_text(encoding="utf-8"))


def states(run, kind="container"):
    return [execution.state for execution in run.store.executions if execution.kind == kind]


def test_selective_augmentation_compares_five_arms(study):
    synthetic, controls = {"gan", "single_filter", "selective"}, {"control", "control_0_5"}
    assert set(results(study)["arms"]) == {"baseline", "traditional"} | synthetic | controls
    assert study.stored("report").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
    for name in ("baseline", "gan", "single_filter"):
        (uri,) = study.outputs(name)
        assert json.loads((study.launcher.stored(uri) / "arm.json").read_text())["arm"] == name
    assert set(states(study)) == {"COMPLETE"}


def test_tasks_get_what_a_backend_gives(study):
    """No artifact has a title, none that was left out is there, and every number is one that JSON of Go may hold."""
    for attempt in study.launcher.attempts:
        for listed in attempt.executor_input["inputs"]["artifacts"].values():
            for artifact in listed["artifacts"]:
                assert "schemaTitle" not in json.dumps(artifact.get("type", {}))
                assert artifact["name"].isdigit()
        handed = json.loads(attempt.command[attempt.command.index("--executor_input") + 1])
        assert type(handed["inputs"]["parameterValues"].get("seed", 0)) is int
        assert "{{$" not in json.dumps(handed)
    inputs = [
        set(attempt.executor_input["inputs"]["artifacts"])
        for attempt in study.launcher.attempts
        if "generator" in attempt.executor_input["outputs"]["artifacts"]
    ]
    assert inputs == [{"patches", "extractor"}]


def test_the_study_of_ratios_and_fractions_ends_well(fractions):
    arms = {"baseline", "selective_r0_5_pool2n", "selective_r1_pool2n", "baseline_50pct", "selective_50pct"}
    assert set(results(fractions)["arms"]) == arms | {"traditional", "control", "control_0_5"}


def test_the_classes_of_every_generator_are_trained_apart_and_joined(guided):
    assert set(results(guided)["methods"]) == {"rleo:literal", "dcgan"}
    trained = [
        (execution.inputs["method"], execution.inputs["only_class"])
        for execution in guided.store.executions
        if "only_class" in execution.inputs
    ]
    assert trained == [(method, name) for method in ("rleo", "dcgan") for name in ("benign", "tumour")]
    models = [guided.launcher.stored(uri) / "model.json" for uri in guided.outputs("generators")]
    described = [json.loads(model.read_text()) for model in models]
    assert [(model["method"], model["classes"]) for model in described] == [
        ("rleo", ["benign", "tumour"]),
        ("dcgan", ["benign", "tumour"]),
    ]


def test_the_benchmark_ends_well(start, images):
    methods = {"methods": ["dcgan"], "generator_seeds": 2, "entrants": [str(images)]}
    run = start("generator_benchmark", overrides=LEADERBOARD, **methods)
    assert set(results(run)["methods"]) == {"dcgan", images.name}
    assert len(run.outputs("generators")) == 3


@pytest.fixture(scope="module")
def retraining(installed, images, objects, tmp_path_factory):
    """Two runs of `retraining` with one state; the first by processes of the wheel, with a training killed once."""
    folder = tmp_path_factory.mktemp("retraining")
    pipeline = Pipeline.load(ROOT / "pipelines" / "retraining.yaml")
    killed = []

    def first_checkpoint(log):
        if not killed and "train_generator" in log and any((folder / "checkpoints").rglob("*.safetensors")):
            killed.append(log)
            return True
        return False

    settings = {**SETTINGS, "train_generator.checkpoint_every": 1, "train_generator.epochs": 4}
    arguments = {"source": str(images), "preset": "", "overrides": settings}
    arguments.update({name: str(folder / name) for name in ("state", "models", "checkpoints")})
    first = Run(pipeline, Processes(installed, first_checkpoint), folder / "first", objects).start(arguments)
    second = Run(pipeline, InProcess(), folder / "second", objects).start(arguments)
    return first, second, folder


def test_retraining_decides_and_remembers(retraining):
    first, _, folder = retraining
    assert set(states(first)) == {"COMPLETE"}
    (uri,) = first.locations_of("margin", "publication")
    assert (first.launcher.stored(uri) / "decision.json").is_file()
    (published,) = (e.outputs["Output"] for e in first.store.executions if "publication" in e.output_artifacts)
    assert published is any(path.is_file() for path in (folder / "models").rglob("*"))
    assert any(path.is_file() for path in (folder / "state").rglob("*"))


def test_a_training_whose_pod_was_killed_is_retried_and_goes_on(retraining):
    first, _, _ = retraining
    tried = [(attempt.task, attempt.status) for attempt in first.launcher.attempts]
    (task,) = {task for task, status in tried if status is None}
    assert [status for name, status in tried if name == task] == [None, 0]
    killed, retried = (attempt for attempt in first.launcher.attempts if attempt.task == task)
    assert killed.pod != retried.pod
    logs = retried.executor_input["outputs"]["artifacts"]["executor-logs"]["artifacts"][0]["uri"]
    assert logs.endswith("executor-logs-1")
    assert "resumes after step" in first.launcher.stored(logs).read_text(encoding="utf-8")


def test_retraining_ends_early_without_news(retraining):
    _, second, _ = retraining
    assert [attempt.status for attempt in second.launcher.attempts] == [0, 0]
    assert states(second, "dag") == ["COMPLETE", "CANCELED"]


def test_a_user_error_fails_its_task_with_2_and_its_sentence_is_the_last_of_its_log(start):
    with pytest.raises(TaskFailed) as failed:
        start("selective_augmentation", overrides={**SETTINGS, "preprocess.patch_size": "64"})
    assert failed.value.status == 2
    assert "16 x 16 px" in failed.value.log.strip().splitlines()[-1]
