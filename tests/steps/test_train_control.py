"""The positive control: an arm with held-back real patches in place of the synthetic ones."""

import numpy as np
import pytest
from interrupted_engine import InterruptedEngine, InterruptedTrainingError
from textures import write_stripes

from histoforge.classifiers.arms import read_arm
from histoforge.classifiers.data import control_patches
from histoforge.core.errors import PatchSetError
from histoforge.patches import PatchSet
from histoforge.steps.train_classifier import run
from histoforge.steps.train_classifier_config import TrainClassifierConfig

QUICK = {"backbone": "resnet10", "width": 0.125, "stem": "imagenet", "epochs": 2, "batch_size": 8, "device": "cpu"}
CONTROL = {**QUICK, "arm": "control", "use": "control", "seeds": 1}


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    path = tmp_path_factory.mktemp("patches") / "patches"
    write_stripes(path, (12, 8), (4, 4), (4, 4), control=(10, 6))
    return path


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, (6, 4)), (0.25, (3, 2)), (0.8, (10, 6)), (2.0, (10, 6))])
def test_there_are_as_many_per_class_as_the_ratio_says_or_as_are_held_back(patches, ratio, expected):
    chosen = control_patches(PatchSet.open(patches), ratio)
    assert tuple(chosen.counts) == expected
    assert set(chosen.index["split"]) == {"control"}


def test_a_larger_ratio_contains_the_patches_of_a_smaller_one(patches):
    real = PatchSet.open(patches)
    small, large = (control_patches(real, ratio).images() for ratio in (0.5, 1.0))
    held = {image.tobytes() for image in large}
    assert len(held) == 16
    assert all(image.tobytes() in held for image in small)


def test_the_arm_trains_on_the_real_and_the_held_back_patches_for_the_same_steps(patches, tmp_path):
    summary = run(TrainClassifierConfig.make(CONTROL), patches=patches, model=tmp_path / "control")
    baseline = run(TrainClassifierConfig.make({**QUICK, "seeds": 1}), patches=patches, model=tmp_path / "baseline")
    assert (summary.train, summary.control, summary.synthetic) == (20, 10, 0)
    control, plain = (read_arm(tmp_path / name) for name in ("control", "baseline"))
    assert control["counts"]["control"] == {"coarse": 6, "fine": 4}
    assert "synthetic" not in control["digests"]
    assert control["runs"][0]["steps"] == plain["runs"][0]["steps"]
    assert control["runs"][0]["digest"] != plain["runs"][0]["digest"]
    assert (baseline.control, plain["config"]["use"]) == (0, "real")


def test_another_number_of_held_back_patches_is_another_training(patches, tmp_path):
    digests = []
    for ratio in (0.5, 0.25):
        run(
            TrainClassifierConfig.make({**CONTROL, "control_ratio": ratio}),
            patches=patches,
            model=tmp_path / f"{ratio}",
        )
        digests.append(read_arm(tmp_path / f"{ratio}")["digests"]["control"])
    assert digests[0] != digests[1]


def test_a_killed_control_resumes_to_the_same_weights(patches, tmp_path, monkeypatch):
    config = TrainClassifierConfig.make({**CONTROL, "checkpoint_every": 1})
    run(config, patches=patches, model=tmp_path / "whole")
    monkeypatch.setattr("histoforge.classifiers.study.Engine", InterruptedEngine)
    monkeypatch.setattr(InterruptedEngine, "end_at", 3)
    with pytest.raises(InterruptedTrainingError):
        run(config, patches=patches, model=tmp_path / "arm")
    monkeypatch.setattr(InterruptedEngine, "end_at", 0)
    run(config, patches=patches, model=tmp_path / "arm")
    first, second = (tmp_path / name / "seed-0" / "model.safetensors" for name in ("whole", "arm"))
    assert first.read_bytes() == second.read_bytes()


def test_no_other_arm_reads_the_held_back_patches(patches, tmp_path):
    write_stripes(tmp_path / "without", (12, 8), (4, 4), (4, 4))
    for name, path in (("with", patches), ("bare", tmp_path / "without")):
        run(TrainClassifierConfig.make({**QUICK, "seeds": 1}), patches=path, model=tmp_path / name)
    first, second = (read_arm(tmp_path / name)["runs"][0] for name in ("with", "bare"))
    np.testing.assert_array_equal(first["val_loss"], second["val_loss"])


def test_a_patch_set_without_held_back_patches_is_refused_with_advice(tmp_path):
    write_stripes(tmp_path / "p", (4, 4), (4, 4), ())
    with pytest.raises(
        PatchSetError, match=r"no patches in its 'control' split: .* control_share above 0, such as 0.25"
    ):
        run(TrainClassifierConfig.make(CONTROL), patches=tmp_path / "p", model=tmp_path / "arm")
