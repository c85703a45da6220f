"""Training of the diffusion model: it learns a picture per label, and resumes exactly."""

import numpy as np
import pytest
import torch
from interrupted_engine import InterruptedEngine, InterruptedTrainingError
from steps.two_pictures import CLASSES, pictures

from histoforge.generators.ddpm import train as ddpm
from histoforge.generators.ddpm.config import DdpmConfig
from histoforge.generators.ddpm.trained import load
from histoforge.generators.loading import draw
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.training.model_files import ModelInfo

TINY = {
    "unet_channels": 16,
    "levels": 3,
    "level_blocks": 1,
    "attention_size": 2,
    "dropout": 0.0,
    "batch_size": 16,
    "by_label": True,
    "sampling_steps": 10,
    "ema_decay": 0.95,
    "learning_rate": 3e-3,
    "precision": "float32",
}
SMALL = pictures()[:, ::2, ::2]


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "patches"
    with PatchSetWriter.create(path, CLASSES, (8, 8), 1.0) as writer:
        for label, picture in enumerate(SMALL):
            writer.add(np.repeat(picture[None], 8, axis=0), label=label, patient=f"p{label}")
        writer.finish({"step": "test"}, split=["train"] * 16)
    return PatchSet.open(path)


def train(work, patches, end_at=0, **values):
    config = DdpmConfig.make({**TINY, **values})
    info = ModelInfo(
        kind="generator", method="ddpm", config=config.model_dump(), classes=CLASSES, patch_size=patches.patch_size
    )
    engine = InterruptedEngine(work, {"ddpm": 1}, device="cpu", precision=config.precision, checkpoint_every=3)
    engine.end_at = end_at
    return ddpm.train(config, patches, engine, None, info)


@pytest.mark.parametrize("prediction", ["velocity", "image", "noise"])
def test_learns_one_picture_a_label(prediction, patches, tmp_path):
    result = train(tmp_path, patches, epochs=2, epoch_steps=90, prediction=prediction)
    samples = draw(result.generator, np.array([0, 1]).repeat(4), seed=1).astype(float)
    difference = [[np.abs(samples[4 * c : 4 * c + 4] - SMALL[d]).mean() for d in (0, 1)] for c in (0, 1)]
    for label in (0, 1):
        assert difference[label][label] < 35, difference
        assert difference[label][1 - label] > 2 * difference[label][label], difference
    losses = [row["loss"] for row in result.history.rows]
    assert losses[1] < losses[0] / 2


def test_offset_noise_is_one_value_for_each_patch_and_channel(patches, tmp_path, monkeypatch):
    noises = []

    def loss(network, schedule, images, labels, times, noise):
        noises.append(noise)
        return next(network.parameters()).square().sum()

    monkeypatch.setattr(ddpm, "diffusion_loss", loss)
    for offset in (0.0, 1.0):
        train(tmp_path / str(offset), patches, epochs=1, epoch_steps=1, offset_noise=offset)
    difference = noises[1] - noises[0]
    torch.testing.assert_close(difference, difference[:, :, :1, :1].expand_as(difference))
    assert float(difference[:, :, 0, 0].std()) > 0.1


def test_a_trained_model_draws_the_same_when_it_is_loaded(patches, tmp_path):
    result = train(tmp_path, patches, epochs=1, epoch_steps=1, eta=1.0)
    loaded = load(result.generator.info, result.state, torch.device("cpu"))
    labels = np.array([0, 1, 1])
    np.testing.assert_array_equal(draw(result.generator, labels, seed=5), draw(loaded, labels, seed=5))
    assert (draw(loaded, labels, seed=5) != draw(loaded, labels, seed=6)).any()


def test_a_training_that_was_cut_short_ends_with_the_same_bits(patches, tmp_path):
    settings = {"epochs": 3, "epoch_steps": 3, "flips": True, "dropout": 0.2, "precision": "auto"}
    whole = train(tmp_path / "whole", patches, **settings)
    with pytest.raises(InterruptedTrainingError):
        train(tmp_path / "cut", patches, end_at=5, **settings)
    resumed = train(tmp_path / "cut", patches, **settings)
    assert all(torch.equal(weight, resumed.state[name]) for name, weight in whole.state.items())
    assert [row["loss"] for row in resumed.history.rows] == [row["loss"] for row in whole.history.rows]


def test_a_model_from_before_velocities_predicts_noise(patches, tmp_path):
    result = train(tmp_path, patches, epochs=1, epoch_steps=1, prediction="noise")
    info = result.generator.info
    old = info.model_copy(update={"config": {k: v for k, v in info.config.items() if k != "prediction"}})
    labels = np.array([0, 1])
    loaded = load(old, result.state, torch.device("cpu"))
    np.testing.assert_array_equal(draw(loaded, labels, seed=5), draw(result.generator, labels, seed=5))
