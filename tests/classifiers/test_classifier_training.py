"""Training: it learns, arms get equal budgets, and a killed task ends with the same bytes."""

import json
import signal

import numpy as np
import pytest
import torch
from processes import kill_at_call, run_process
from textures import CLASSES, write_stripes

from histoforge.classifiers import training
from histoforge.classifiers.architecture import Architecture
from histoforge.classifiers.arms import load_arm, load_classifier, read_arm
from histoforge.classifiers.data import class_weights, load_data
from histoforge.classifiers.study import build, describe, train
from histoforge.classifiers.training import FitState, Recipe, evaluate
from histoforge.core.errors import ModelError, PatchSetError, TrainingError
from histoforge.patches import PatchSet
from histoforge.training.engine import Engine

SMALL = Architecture("resnet10", "imagenet", 0.125, 0.5, "", "")


def recipe(**changes):
    values = {
        "augmentation": "none",
        "brightness": 0.1,
        "contrast": 0.1,
        "saturation": 0.1,
        "hue": 0.02,
        "epochs": 3,
        "max_steps": 0,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "step_epochs": 7,
        "step_factor": 0.1,
        "patience": 0,
        "device": "cpu",
        "precision": "float32",
        "checkpoints": "",
        "checkpoint_every": 2,
    }
    return Recipe(**{**values, **changes})


@pytest.fixture(scope="module")
def real_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("real") / "patches"
    write_stripes(path)
    return path


@pytest.fixture(scope="module")
def real(real_path):
    return PatchSet.open(real_path)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    return write_stripes(tmp_path_factory.mktemp("synthetic") / "patches", (14, 6), (), (), seed=9)


@pytest.fixture(scope="module")
def arm(real, tmp_path_factory):
    out = tmp_path_factory.mktemp("arm") / "baseline"
    return out, train("baseline", SMALL, recipe(epochs=6), [0, 1], real, None, out)


def test_it_learns(arm, real):
    test = real.split("test")
    for classifier in load_arm(arm[0]):
        with torch.inference_mode():
            images = torch.from_numpy(test.images()).permute(0, 3, 1, 2) / 127.5 - 1
            predicted = classifier(images).argmax(1).numpy()
        assert (predicted == test.labels).mean() >= 0.9


def test_an_arm_directory_records_its_training(arm, real):
    out, result = arm
    assert result == read_arm(out) == json.loads((out / "arm.json").read_text())
    assert result["counts"] == {"train": {"coarse": 24, "fine": 16}, "val": {"coarse": 8, "fine": 8}}
    assert result["digests"] == {"patches": real.digest}
    assert not out.with_name("baseline.work").exists()
    for run, seed in zip(result["runs"], [0, 1], strict=True):
        losses = [epoch["val_loss"] for epoch in run["history"]]
        assert len(losses) == 6
        assert run["best_epoch"] == int(np.argmin(losses)) + 1
        assert run["val_loss"] == min(losses)
        assert (run["seed"], run["model"], run["steps"]) == (seed, f"seed-{seed}", 6 * 5)
        assert (out / run["model"] / "training.jsonl").is_file()


def test_the_kept_weights_are_those_of_the_best_epoch(arm, real):
    out, result = arm
    data = load_data(real, None, torch.device("cpu"))
    engine = Engine(out.parent / "evaluation", {}, device="cpu", precision="float32")
    for run, classifier in zip(result["runs"], load_arm(out), strict=True):
        again = evaluate(classifier, data.val, data.class_weights, engine)
        assert again == pytest.approx({name: run[name] for name in again}, rel=1e-5)


def test_a_path_to_an_arm_is_its_lowest_seed(arm):
    assert load_classifier(arm[0]).info == load_classifier(arm[0] / "seed-0").info
    assert "baseline, seed 0" in load_classifier(arm[0]).name


def test_every_arm_gets_the_same_steps_and_only_training_patches_are_added(real, synthetic, tmp_path):
    result = train("gan", SMALL, recipe(epochs=2), [0], real, synthetic, tmp_path / "gan")
    assert result["runs"][0]["steps"] == 2 * 5  # ceil(40 real / 8), not ceil(60 / 8)
    assert result["counts"]["synthetic"] == {"coarse": 14, "fine": 6}
    assert result["counts"]["val"] == {"coarse": 8, "fine": 8}
    data = load_data(real, synthetic, torch.device("cpu"))
    assert (len(data.train), data.real, len(data.val)) == (60, 40, 16)
    assert torch.equal(data.class_weights, load_data(real, None, torch.device("cpu")).class_weights)
    assert torch.equal(data.train.images[40:].permute(0, 2, 3, 1), torch.from_numpy(synthetic.images()))


def test_the_number_of_steps_can_be_bounded(real, tmp_path):
    run = train("short", SMALL, recipe(epochs=50, max_steps=7), [0], real, None, tmp_path / "short")["runs"][0]
    assert (run["steps"], run["epochs"]) == (7, 2)  # the last epoch is cut short, and validated like any other


def test_a_seed_starts_each_arm_from_the_same_weights_and_another_seed_from_others(real):
    plain, augmented = (describe(SMALL, recipe(augmentation=name), real, {}) for name in ("none", "traditional"))
    first, same, other = build(plain, None, "", 3), build(augmented, None, "", 3), build(plain, None, "", 4)
    assert torch.equal(first.fc.weight, same.fc.weight)
    assert torch.equal(first.backbone.conv1.weight, same.backbone.conv1.weight)
    assert not torch.equal(first.fc.weight, other.fc.weight)


def test_augmentation_changes_the_training_and_not_the_validation(real, tmp_path):
    arms = [
        train(name, SMALL, recipe(augmentation=name, epochs=1), [0], real, None, tmp_path / name)
        for name in ("none", "traditional")
    ]
    assert arms[0]["runs"][0]["digest"] != arms[1]["runs"][0]["digest"]
    assert arms[0]["counts"] == arms[1]["counts"]


def test_rare_classes_weigh_more():
    weights = class_weights(np.array([30, 10]))
    torch.testing.assert_close(weights, torch.tensor([40 / 60, 40 / 20]))
    assert float((weights * torch.tensor([30.0, 10.0])).sum()) == pytest.approx(40)


class Recorded:
    """A classifier reduced to what `FitState.add` needs."""

    def __init__(self, value):
        self.value = value

    def state_dict(self):
        return {"w": torch.tensor(self.value)}


def test_training_stops_after_epochs_without_improvement():
    progress = FitState()
    for epoch, loss in enumerate([0.9, 0.5, 0.5, 0.7], start=1):
        progress.add({"val_loss": loss}, Recorded(float(epoch)))
    assert (progress.best_epoch, float(progress.weights["w"])) == (2, 2.0)  # the earlier of two equal ones
    assert progress.has_stalled(2)
    assert not progress.has_stalled(3)
    assert not progress.has_stalled(0)


def test_patience_ends_a_training_that_no_longer_improves(real, tmp_path):
    result = train("still", SMALL, recipe(learning_rate=1e-12, epochs=50, patience=3), [0], real, None, tmp_path / "a")
    run = result["runs"][0]
    assert len(run["history"]) == run["best_epoch"] + 3 < 50


def test_a_loss_that_is_not_finite_stops_the_training_and_leaves_no_arm(real, tmp_path):
    with pytest.raises(TrainingError, match="not finite"):
        train("wild", SMALL, recipe(learning_rate=1e30, epochs=5), [0], real, None, tmp_path / "wild")
    assert not (tmp_path / "wild").exists()


def test_one_batch_is_overfitted(tmp_path):
    few = write_stripes(tmp_path / "patches", (4, 4), (4, 4), ())
    result = train("one", SMALL, recipe(epochs=60, learning_rate=1e-3), [0], few, None, tmp_path / "one")
    log = (tmp_path / "one" / "seed-0" / "training.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["loss"] < 0.1
    assert result["runs"][0]["steps"] == 60


def train_and_die(path, out, die_at_evaluation):
    """Trains two seeds, and kills its own process instead of the given evaluation (0 for none)."""
    kill_at_call(training, "evaluate", die_at_evaluation)
    options = recipe(epochs=3, augmentation="traditional", precision="auto", checkpoint_every=3)
    train("killed", SMALL, options, [0, 1], PatchSet.open(path), None, out)


@pytest.fixture(scope="module")
def undisturbed(real_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    ended = run_process(folder / "log", train_and_die, real_path, folder / "arm", 0)
    assert ended.code == 0, ended.stderr
    return folder / "arm"


@pytest.mark.parametrize("evaluation", [2, 5])
def test_a_killed_arm_resumes_and_ends_with_the_same_bytes(tmp_path, real_path, undisturbed, evaluation):
    out = tmp_path / "arm"
    assert run_process(tmp_path / "log", train_and_die, real_path, out, evaluation).code == -signal.SIGKILL
    assert not out.exists()
    resumed = run_process(tmp_path / "log", train_and_die, real_path, out, 0)
    assert resumed.code == 0, resumed.stderr
    assert resumed.stderr.count("resumes after step") == (1 if evaluation == 2 else 2)
    for seed in (0, 1):
        for file in (f"seed-{seed}/model.safetensors", f"seed-{seed}/training.jsonl"):
            assert (out / file).read_bytes() == (undisturbed / file).read_bytes()
    results = [[(run["digest"], run["history"]) for run in read_arm(path)["runs"]] for path in (undisturbed, out)]
    assert results[0] == results[1]


def test_synthetic_patches_of_other_classes_or_another_size_are_refused(real, tmp_path):
    other = write_stripes(tmp_path / "other", (4, 4), (), (), classes=CLASSES[::-1])
    with pytest.raises(PatchSetError, match="has the classes fine, coarse, and the real one has coarse, fine"):
        load_data(real, other, torch.device("cpu"))
    large = write_stripes(tmp_path / "large", (4, 4), (), (), size=32)
    with pytest.raises(PatchSetError, match="has patches of 32x32 px, and the real one has 24x24"):
        load_data(real, large, torch.device("cpu"))


def test_a_set_without_validation_patches_is_refused(tmp_path):
    with pytest.raises(PatchSetError, match="no patches in its 'val' split: .* split_ratios, such as 7:1:2"):
        load_data(write_stripes(tmp_path / "p", (4, 4), (), (4, 4)), None, torch.device("cpu"))


def test_a_folder_without_an_arm_is_refused(tmp_path, arm):
    with pytest.raises(ModelError, match="is not an arm"):
        load_arm(tmp_path)
    (tmp_path / "arm.json").write_text('{"arm": 1')
    with pytest.raises(ModelError, match="arm.json is damaged"):
        load_arm(tmp_path)
