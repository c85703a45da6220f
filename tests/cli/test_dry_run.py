"""Settings that a laptop can bear, and a look at what a command would do before it does it."""

import pytest
import torch
import yaml
from command_line import call
from tiny_study import SETTINGS, write_images

from histoforge.cli.steps import settings_of
from histoforge.generators.methods import METHODS
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.steps.table import STEPS
from histoforge.tasks import pipeline_plan

UNSET = {"preset": None, "assignments": None, "config_file": None}
TRAINING = [STEPS[name] for name in ("finetune_snn", "train_generator", "train_classifier")]


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """Return a patch set of 16 px with 24 and 40 training patches of two classes."""
    folder = tmp_path_factory.mktemp("dry") / "patches"
    with PatchSetWriter.create(folder, ["benign", "tumour"], (16, 16), mpp=1.0) as writer:
        for split, counts in {"train": (24, 40), "val": (8, 8), "test": (8, 8)}.items():
            for label, count in enumerate(counts):
                images = torch.randint(0, 256, (count, 16, 16, 3), dtype=torch.uint8).numpy()
                writer.add(images, label=label, patient=f"{split}-{label}", slide=f"{split}-{label}", split=split)
        writer.finish({"step": "preprocess"})
    return folder


def plan(capsys, *arguments):
    ended = call(capsys, *arguments)
    assert ended.code == 0, ended.err
    return yaml.safe_load(ended.out)


@pytest.mark.parametrize("step", TRAINING, ids=lambda step: step.name)
def test_without_a_gpu_quickstart_is_the_default_and_the_first_line_reports_it(capsys, monkeypatch, step):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert settings_of(step, UNSET) == settings_of(step, {**UNSET, "preset": "quickstart"})
    first = capsys.readouterr().err.splitlines()[0]
    assert "No GPU was found" in first
    assert "quickstart" in first
    assert settings_of(step, {**UNSET, "preset": ""}) == step.config_class()
    assert capsys.readouterr().err == ""


def test_with_a_gpu_the_defaults_are_the_full_size_ones(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for step in TRAINING:
        assert settings_of(step, UNSET) == step.config_class()
    assert capsys.readouterr().err == ""


def test_a_dry_run_of_a_classifier_shows_sizes_and_steps_and_writes_nothing(capsys, patches, tmp_path):
    shown = plan(
        capsys, "train-classifier", "--patches", patches, "--out", tmp_path / "arm", "--preset", "", "--dry-run",
        "--backbone", "resnet10", "--width", "0.125", "--epochs", "3", "--batch-size", "16", "--seeds", "2",
    )  # fmt: skip
    assert shown["settings"]["width"] == 0.125
    assert shown["inputs"]["patches"]["counts"]["train"] == {"benign": 24, "tumour": 40}
    (training,) = shown["trainings"]
    assert training["steps"] == 3 * 4
    assert training["parameters"]["classifier"] > 1000
    assert shown["steps"] == 2 * 12
    assert "about" in shown["estimate"]["time"]
    assert list(tmp_path.iterdir()) == []
    assert sorted(path.name for path in patches.parent.iterdir()) == ["patches"]


@pytest.mark.parametrize(("epoch_steps", "steps"), [(0, 5 * (3 + 5)), (4, 5 * (4 + 4))])
def test_a_dry_run_of_a_generator_counts_the_steps_of_every_class(capsys, patches, tmp_path, epoch_steps, steps):
    shown = plan(
        capsys, "train-generator", "--patches", patches, "--out", tmp_path / "generator", "--preset", "", "--dry-run",
        "--method", "dcgan", "--generator-maps", "8", "--discriminator-maps", "8", "--batch-size", "8",
        "--epochs", "5", "--epoch-steps", epoch_steps,
    )  # fmt: skip
    assert set(shown["settings"]) == {"method", *METHODS["dcgan"].config_class.model_fields}
    assert set(shown["trainings"][0]["parameters"]) == {"generator", "discriminator"}
    assert shown["steps"] == steps
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_measures_both_stages_of_the_guide(capsys, patches, tmp_path):
    assert len(PatchSet.open(patches).split("train")) == 64
    shown = plan(
        capsys, "finetune-snn", "--patches", patches, "--overviews", patches, "--out", tmp_path / "guide", "--preset",
        "", "--dry-run", "--width", "0.125", "--batch-size", "8", "--stage1-epochs", "2", "--stage2-epochs", "3",
    )  # fmt: skip
    assert [training["steps"] for training in shown["trainings"]] == [2 * 8, 3 * 8]
    assert shown["steps"] == 40
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_rejects_the_same_input_as_the_step(capsys, patches, tmp_path):
    arguments = ["train-generator", "--patches", patches, "--out", tmp_path / "g", "--method", "rleo", "--dry-run"]
    ended = call(capsys, *arguments)
    assert ended.code == 2
    assert "needs a guide" in ended.err


def test_every_step_has_a_dry_run(capsys):
    for name in [*STEPS, "phantom"]:
        assert "--dry-run" in call(capsys, name.replace("_", "-"), "--help").out


def test_a_dry_run_of_preprocess_shows_the_source_and_writes_nothing(capsys, tmp_path):
    source = write_images(tmp_path / "images", per_class=4, patients=2)
    shown = plan(capsys, "preprocess", "--source", source, "--out", tmp_path / "cut", "--dry-run")
    assert shown["inputs"]["source"]["files"] == 8
    assert any("will probably be too small for a conclusion" in warning for warning in shown["warnings"])
    assert shown["settings"]["patch_size"] == "96"
    assert not (tmp_path / "cut").exists()


def test_a_dry_run_of_a_pipeline_shows_tasks_settings_and_trainings(capsys, tmp_path):
    source = write_images(tmp_path / "images", per_class=4, patients=2)
    settings = [argument for name, value in SETTINGS.items() for argument in ("--set", f"{name}={value}")]
    arguments = ["run", "selective-augmentation", "--source", source, "--out", tmp_path / "out", "--preset", ""]
    shown = plan(capsys, *arguments, "--dry-run", *settings)
    assert shown["source"]["files"] == 8
    assert any("'train_classifier.seeds' is 2" in warning for warning in shown["warnings"])
    assert {"Train the baseline", "Train the generator", "Train with the selection: gan"} <= set(shown["tasks"])
    assert shown["settings"]["train_classifier"]["width"] == 0.125
    generator, classifier = (shown["trainings"][name] for name in ("train_generator", "train_classifier"))
    assert generator["trainings"][0]["steps"] == 4
    assert "depends on the number of training patches" in classifier["trainings"][0]["steps"]
    assert classifier["trainings_per_task"] == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("step", "method"), [("train_upscaler", "latent_sr"), ("train_generator", "pathup")])
def test_the_plan_of_a_pipeline_tries_no_method_that_needs_the_model_of_a_task(step, method, tmp_path):
    config = STEPS[step].config_class.make({"method": method})
    assert f"histoforge {step.replace('_', '-')} --method" in pipeline_plan._training(STEPS[step], config, tmp_path)
