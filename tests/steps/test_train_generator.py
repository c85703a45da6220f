"""The step `train_generator`: learning, outputs, choice of the epoch, and resuming after SIGKILL."""

import json
import signal

import numpy as np
import pytest
import torch
from processes import kill_at_call, run_process
from two_pictures import CLASSES, SETTINGS, make_extractor, make_patchset, pictures, read_png

from histoforge.core.documents import read_json
from histoforge.core.errors import ModelError, SettingsError, TrainingError
from histoforge.evaluation.pictures import generator_record
from histoforge.generators.histogan import train as histogan
from histoforge.generators.loading import draw, load_generator
from histoforge.patches import PatchSetWriter
from histoforge.phantom import draw_patches
from histoforge.steps import train_generator
from histoforge.steps.train_generator_config import TrainGeneratorConfig
from histoforge.training.model_files import read_model_info

KILL_SETTINGS = {"epochs": 3, "epoch_steps": 4, "precision": "float32", "flips": True, "ema_decay": 0.9}


def settings(**values):
    return TrainGeneratorConfig.make({**SETTINGS, **values})


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    return make_patchset(tmp_path_factory.mktemp("data") / "patches")


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    return make_extractor(tmp_path_factory.mktemp("data") / "extractor")


@pytest.fixture(scope="module")
def learnt(patches, tmp_path_factory):
    """A generator that was trained for long enough on two pictures."""
    out = tmp_path_factory.mktemp("learnt") / "generator"
    config = settings(epochs=4, epoch_steps=40, learning_rate=2e-3, checkpoint_every=0)
    summary = train_generator.run(config, patches=patches, generator=out)
    return out, summary


def test_learns_one_picture_a_class(learnt):
    generator = load_generator(learnt[0], "cpu")
    samples = draw(generator, np.array([0, 1]).repeat(8), seed=1).astype(float)
    difference = [[np.abs(samples[8 * c : 8 * c + 8] - pictures()[d]).mean() for d in (0, 1)] for c in (0, 1)]
    for label in (0, 1):
        assert difference[label][label] < 30, difference
        assert difference[label][1 - label] > 2 * difference[label][label], difference


def test_equal_seeds_draw_equal_patches_and_others_do_not(learnt):
    generator = load_generator(learnt[0], "cpu")
    labels = np.array([0, 1, 1])
    np.testing.assert_array_equal(draw(generator, labels, seed=5), draw(generator, labels, seed=5))
    assert (draw(generator, labels, seed=5) != draw(generator, labels, seed=6)).any()


def test_without_an_extractor_the_last_epoch_is_kept(learnt):
    _, summary = learnt
    assert (summary.chosen_epoch, summary.chosen_by, summary.fid) == (4, "last epoch", None)


def test_writes_model_history_and_pictures(learnt):
    out, summary = learnt
    info = read_model_info(out, "generator")
    assert (info.method, info.classes, info.patch_size, info.mpp) == ("histogan", CLASSES, (16, 16), 0.5)
    assert info.digest == summary.digest
    history = read_json(out / "history.json")
    assert [row["epoch"] for row in history["epochs"]] == [1, 2, 3, 4]
    assert {"wasserstein", "penalty", "generator", "seconds", "fid", "fid_smoothed"} <= set(history["epochs"][0])
    assert list(history["pictures"]) == ["1", "2", "4"]  # the first, the middle and the chosen
    for name in (*history["pictures"].values(), history["attention"]):
        assert read_png(out / name).std() > 0
    tile = 16 * 6  # enlarged for the eye
    assert read_png(out / history["attention"]).shape[:2] == (4 * (tile + 2) - 2, 8 * (tile + 2) - 2)
    assert not list(out.parent.rglob("checkpoint-*"))


def test_attention_is_a_weight_for_each_position(learnt):
    generator = load_generator(learnt[0], "cpu")
    images, attention = generator.sample_with_attention(torch.tensor([0, 1]), torch.Generator().manual_seed(0))
    assert images.shape == (2, 3, 16, 16)
    torch.testing.assert_close(attention.sum(dim=(1, 2)), torch.ones(2), rtol=1e-2, atol=0)
    assert attention.shape == (2, 8, 8)


def test_the_epoch_of_the_lowest_smoothed_fid_is_kept(patches, extractor, tmp_path):
    config = settings(epochs=5, epoch_steps=2, select_from_epoch=2, fid_samples=12)
    summary = train_generator.run(config, patches=patches, extractor=extractor, generator=tmp_path / "g")
    rows = read_json(tmp_path / "g" / "history.json")["epochs"]
    raw, smoothed = ([row[name] for row in rows] for name in ("fid", "fid_smoothed"))
    assert raw[0] is None
    expected = raw[1]
    for index in range(1, 5):
        expected = 0.5 * expected + 0.5 * raw[index] if index > 1 else expected
        assert smoothed[index] == pytest.approx(expected)
    assert summary.chosen_epoch == 2 + int(np.argmin(smoothed[1:]))
    assert summary.chosen_by == "lowest smoothed FID"
    assert summary.extractor.startswith("resnet10")


def test_an_extractor_that_fails_its_check_does_not_choose(extractor, tmp_path):
    """The extractor has random weights, to which shuffled pixels and colours look alike."""
    drawn = draw_patches(40, (16, 16), classes=CLASSES)
    with PatchSetWriter.create(tmp_path / "p", CLASSES, (16, 16), 0.5) as writer:
        writer.add(drawn.images, label=drawn.labels, patient=list(drawn.patients))
        writer.finish({"step": "test"}, split=["train", "val"] * 40)
    config = settings(epochs=2, epoch_steps=2)
    summary = train_generator.run(config, patches=tmp_path / "p", extractor=extractor, generator=tmp_path / "g")
    assert summary.chosen_by == "lowest smoothed FID of pixel statistics"
    assert summary.choice_note.endswith("Pixel statistics chose the epoch instead.")
    history = read_json(tmp_path / "g" / "history.json")
    assert history["choice_note"] == summary.choice_note
    assert generator_record(tmp_path / "g").notes == [f"Epoch of the generator: {summary.choice_note}"]
    assert history["chosen_epoch"] == min(history["epochs"], key=lambda row: row["fid_pixels"])["epoch"]


def test_epochs_are_scored_at_their_interval_and_at_the_end(patches, extractor, tmp_path):
    config = settings(epochs=6, epoch_steps=1, select_from_epoch=2, fid_every=3, fid_samples=4)
    train_generator.run(config, patches=patches, extractor=extractor, generator=tmp_path / "g")
    rows = read_json(tmp_path / "g" / "history.json")["epochs"]
    assert [row["epoch"] for row in rows if row["fid"] is not None] == [2, 5, 6]


def train_and_die(patches, extractor, out, die_at=0):
    """Train; with `die_at`, die by SIGKILL in that step, between the critics' update and the generator's."""
    torch.set_num_threads(1)
    kill_at_call(histogan, "generator_loss", die_at)
    train_generator.run(settings(**KILL_SETTINGS), patches=patches, extractor=extractor, generator=out)


def test_a_killed_training_ends_with_the_same_bytes(patches, extractor, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_process(tmp_path / "1.log", train_and_die, patches, extractor, whole).code == 0
    die_at = int(np.random.default_rng().integers(4, 13))
    first = run_process(tmp_path / "2.log", train_and_die, patches, extractor, killed, die_at)
    assert first.code == -signal.SIGKILL
    assert not killed.exists()
    second = run_process(tmp_path / "3.log", train_and_die, patches, extractor, killed)
    assert second.code == 0, second.stderr
    assert "resumes after step" in second.stderr
    names = ("model.safetensors", *(f"pictures/epoch-{n:04d}.png" for n in (1, 2)))
    for name in names:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), f"killed in step {die_at}"
    histories = [json.loads((folder / "history.json").read_text())["epochs"] for folder in (whole, killed)]
    for row, other in zip(*histories, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(patches, tmp_path, monkeypatch):
    steps, loss = iter(range(1, 100)), histogan.generator_loss
    monkeypatch.setattr(
        histogan, "generator_loss", lambda *given: loss(*given) * (float("nan") if next(steps) == 5 else 1.0)
    )
    with pytest.raises(TrainingError, match="histogan: a loss was not finite at step 5 "):
        train_generator.run(settings(epochs=2, epoch_steps=5), patches=patches, generator=tmp_path / "g")
    assert not (tmp_path / "g").exists()
    (checkpoint,) = (tmp_path / "g-training").rglob("checkpoint-*")
    assert checkpoint.name.startswith("checkpoint-0000000003-")


def test_an_unsupported_patch_size_is_an_error(tmp_path, patches):
    with pytest.raises(SettingsError, match="16x16 px.*multiples of 64.*64x64 px"):
        train_generator.run(settings(stages=3, up_blocks=4), patches=patches, generator=tmp_path / "g")


def test_an_extractor_of_other_classes_is_refused(tmp_path, patches):
    other = make_extractor(tmp_path / "other", ["x", "y"])
    with pytest.raises(ModelError, match="was trained on the classes x, y"):
        train_generator.run(settings(), patches=patches, extractor=other, generator=tmp_path / "g")


def test_a_classifier_is_no_generator(extractor):
    with pytest.raises(ModelError, match="is a classifier, but a generator is needed"):
        load_generator(extractor)
