"""What a pipeline will take, estimated from a sample of the source and a moment of each step."""

import json

import numpy as np
import pytest
from command_line import call
from histoforge_pipelines.table import local_pipelines
from tiny_study import LEADERBOARD, PATHUP, SETTINGS, UNIFIED, write_images

from histoforge.cli.run.planning import estimate_run, planned_run
from histoforge.core.timings import Work
from histoforge.patches import PatchSet
from histoforge.phantom.slides import draw_slides
from histoforge.steps import preprocess
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.steps.table import STEPS
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.tasks.estimate import sample as samples
from histoforge.tasks.estimate.extrapolation import Expected, bytes_of, expected_patches, memory_of, seconds_of
from histoforge.tasks.estimate.sample import cut_sample
from histoforge.tasks.estimate.trials import StepTrial
from histoforge.tasks.usage import GIB, PhaseUsage, Usage
from histoforge.training.timing import MeasuredTraining

GROWN = Expected(
    train=1000, val=100, test=200, in_trial=50, patch_bytes=GIB // 1000, classifiers=6, prediction_seconds=0.01
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("estimate") / "images", per_class=20, patients=5)


def estimate(capsys, source, *arguments):
    settings = [argument for name, value in SETTINGS.items() for argument in ("--set", f"{name}={value}")]
    return call(capsys, "estimate", "selective-augmentation", "--source", source, "--preset", "", *settings, *arguments)


def test_every_task_of_a_pipeline_is_estimated_and_nothing_is_kept(capsys, source, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = sorted(path.name for path in source.parent.rglob("*"))
    ended = estimate(capsys, source, "--json", "--gpus", 2)
    assert ended.code == 0, ended.err
    shown = json.loads(ended.out)
    assert shown["patches"] == {"benign": 20, "tumour": 20}
    by_title = {task["task"]: task for task in shown["tasks"]}
    assert [task["not_tried"] for task in shown["tasks"]] == [""] * len(by_title)
    times = {title: by_title[title]["times"] for title in by_title}
    assert times["Train with augmentation or held-back patches"] == 3
    assert times["Evaluate and report"] == times["Train the generator"] == 1
    generator = by_title["Train the generator"]
    assert generator["gpu_hours"] == pytest.approx(2 * generator["seconds"] / 3600), "2 GPUs, each for that time"
    assert by_title["Cut patches"]["gpu_hours"] == 0
    assert shown["seconds"] == pytest.approx(sum(each["seconds"] * each["times"] for each in shown["tasks"]))
    assert all(each["seconds"] > 0 and each["memory_gib"] > 0.1 for each in shown["tasks"])
    assert list(tmp_path.glob("histoforge*")) == []
    assert sorted(path.name for path in source.parent.rglob("*")) == before


FEW = {
    "augmentation-study": {**SETTINGS, "ratios": [0.5, 1], "pool_multiples": [0.5, 2], "fractions": [0.5, 0.25]},
    "judge": {**SETTINGS, "import_patches.fit": "shrink"},
    "rleo": {**LEADERBOARD, "methods": ["dcgan", "rleo"], "generator_seeds": 2},
    "generator-benchmark": {**LEADERBOARD, "methods": ["dcgan"], "generator_seeds": 2},
    "unified": {**UNIFIED, "networks": ["vitgan"], "ratios": [0.5], "seeds": 2},
    "pathup": {**PATHUP, "baselines": ["stylegan2"], "upscalers": ["bsrgan"], "backbones": ["resnet10"]},
}
"""Lists of one or two items for the loops of each pipeline."""
TIMES = {
    "augmentation-study": {
        "Train with the selection": 3,
        "Select patches": 3,
        "Train the generator on a fraction": 2,
        "Train with augmentation or held-back patches": 3,
    },
    "judge": {"Import synthetic patches": 2, "Train with the selection: by distance": 2},
    "rleo": {"Train a generator: dcgan": 4, "Train a generator: rleo": 4, "Join the classes": 4},
    "generator-benchmark": {"Train or import a generator": 2, "Train on synthetic patches": 2},
    "unified": {"Train a backbone": 2, "Select patches": 3, "Train a network": 2},
    "pathup": {"Train a baseline on patches": 1, "Draw otherwise": 2},
}
"""Some tasks whose number another one plans: 3 of the 4 cells have pools that are large enough; dcgan and rleo train
each of two classes; `unified` compares three backbones."""
UNTRIED = {"pathup": {"score_images"}}
"""Steps that a trial cannot try: large images need slides, of which a trial has only patches."""


@pytest.mark.parametrize("pipeline", FEW)
def test_every_pipeline_is_estimated_with_the_tasks_that_it_plans(source, pipeline):
    more = {"synthetic": [str(source), f"{source}/"]} if pipeline == "judge" else {}
    result = estimate_run(pipeline, str(source), "", {**FEW[pipeline], **more})
    assert {task.step for task in result.tasks if task.not_tried} == UNTRIED.get(pipeline, set())
    times = {task.task: task.times for task in result.tasks}
    assert {title: times.get(title) for title in TIMES[pipeline]} == TIMES[pipeline]
    assert result.seconds > 0


def test_all_pipelines_of_run_are_estimated():
    assert {*FEW, "selective-augmentation"} == set(local_pipelines())


def test_folds_generators_and_shards_multiply_the_tasks_inside(tmp_path):
    draw_slides(tmp_path / "slides", patients=4, size_px=512)
    settings = {**SETTINGS, "folds": 2, "generator_seeds": 3, "shards": 2, "preprocess.patient_pattern": ""}
    planned = planned_run("selective-augmentation", str(tmp_path / "slides"), "", settings)
    times = {task.title: task.times for task in planned.tasks}
    assert (times["Cut a shard"], times["Cut patches"]) == (2, 1)
    assert (times["Train the baseline"], times["Train the generator"]) == (2, 6)
    assert times["Train with augmentation or held-back patches"] == 2 * 3


@pytest.mark.parametrize("pipeline", ["selective-augmentation", "pathup"])
def test_the_location_of_pixels_is_a_parameter_of_pipelines(source, tmp_path, monkeypatch, pipeline):
    monkeypatch.chdir(tmp_path)
    settings = {**(PATHUP if pipeline == "pathup" else SETTINGS), "images_location": "pixels"}
    planned = planned_run(pipeline, str(source), "", settings)
    cut = [task.config.images_location for task in planned.tasks if task.step == "preprocess"]
    assert cut == [str(tmp_path / "pixels")] * (2 if pipeline == "pathup" else 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("selektive", "--source", "images"), "no pipeline 'selektive'"),
        (("selective-augmentation", "--source", "nowhere"), "There is nothing at"),
        (("selective-augmentation", "--source", "{source}", "--set", "epocs=3"), "epocs"),
        (("selective-augmentation", "--source", "{source}", "--gpus", "0"), "--gpus"),
        (("augmentation-study", "--source", "{source}", "--set", "fractions=[2]"), "'fractions' is [2"),
        (("rleo", "--source", "{source}", "--set", "score_generator.count=-1"), "count"),
        (("selective-augmentation", "--source", "{source}", "--set", "preprocess.min_tissue=2"), "min_tissue"),
    ],
)
def test_bad_input_ends_with_one_sentence(capsys, source, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    ended = call(capsys, "estimate", *(argument.format(source=source) for argument in arguments))
    assert ended.code == 2
    assert sentence in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_a_sample_of_slides_tells_about_all_of_them(tmp_path, monkeypatch):
    draw_slides(tmp_path / "slides", patients=4, size_px=768)
    config = PreprocessConfig.make({"source": str(tmp_path / "slides"), "patch_size": 48, "mpp": 1.0})
    preprocess.run(config, patches=tmp_path / "patches", overviews=tmp_path / "overviews")
    counts = PatchSet.open(tmp_path / "patches").counts
    monkeypatch.setattr(samples, "READ_PER_CLASS", 10)
    monkeypatch.setattr(samples, "SLIDES", 5)
    all_slides = cut_sample(config)
    assert all_slides.share == 1
    np.testing.assert_array_equal(all_slides.counts, counts, "planned, though few of them are read")
    monkeypatch.setattr(samples, "SLIDES", 2)
    some = cut_sample(config)
    assert some.files < all_slides.files
    assert 0.2 < some.share < 1
    assert some.classes == all_slides.classes
    assert 0.5 < some.counts.sum() / counts.sum() < 2
    assert len(some.images) <= 10 * len(counts) * 3


def trial(trainings=(), **phases):
    usage = Usage(
        seconds=10, cpu_seconds=10, peak_memory_gib=1,
        phases={name: PhaseUsage.of(Work(seconds)) for name, seconds in phases.items()},
    )  # fmt: skip
    return StepTrial(usage, list(trainings), {"model": 100, "selected": 10, "pool": 30, "report": 5, "metrics": 5})


def test_a_training_takes_its_steps_and_the_scoring_of_each_epoch_for_each_seed():
    run = MeasuredTraining(
        "x", steps=20, parameters={}, seconds_per_step=0.5, steps_per_epoch=5, seconds_at_end=2.0, trial_seconds=6.0
    )
    config = TrainClassifierConfig.make({"epochs": 4, "seeds": 3, "max_steps": 0, "batch_size": 10})
    steps, epochs = 4 * 100, 4
    scoring = 2.0 * 100 / 50
    seconds_each = steps * 0.5 + epochs * scoring
    assert seconds_of(STEPS["train_classifier"], trial([run]), config, GROWN) == pytest.approx(
        (10 - 6) + 3 * seconds_each
    )
    cut_short = config.model_copy(update={"max_steps": 150, "seeds": 1})
    expected = (10 - 6) + 150 * 0.5 + 2 * scoring
    assert seconds_of(STEPS["train_classifier"], trial([run]), cut_short, GROWN) == pytest.approx(expected)
    assert memory_of(STEPS["train_classifier"], trial([run]), GROWN) == pytest.approx(1 + 0.95, rel=1e-3)
    assert bytes_of(STEPS["train_classifier"], trial([run]), config, GROWN) == 300, "one model per seed"


def test_the_phases_of_other_tasks_grow_with_the_patches_and_the_rest_does_not():
    select, evaluate = STEPS["select_samples"], STEPS["evaluate"]
    assert seconds_of(select, trial(compute=2, read=1), None, GROWN) == pytest.approx(7 + 3 * 1000 / 50)
    assert bytes_of(select, trial(), None, GROWN) == 40 * 1000 / 50
    growth = 1300 / 150
    assert seconds_of(evaluate, trial(compute=4), None, GROWN) == pytest.approx(6 + 4 * growth + 6 * 200 * 0.01)
    assert memory_of(select, trial(), GROWN) == 1


def test_patches_are_divided_as_preprocess_divides_them():
    config = PreprocessConfig.make({"source": "x", "split_ratios": "6:1:3", "control_share": 0.25})
    expected = expected_patches(config, 1000, in_trial=50, classifiers=4, training=None, batch_size=1)
    assert (expected.train, expected.val, expected.test) == (450, 100, 300)
