"""DCGAN and related methods: each learns one picture, and resumes exactly."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from histoforge.core.errors import ModelError, SettingsError, TrainingError
from histoforge.core.seeds import derive_seed
from histoforge.generators.dcgan import train as dcgan
from histoforge.generators.dcgan.network import DcganGenerator
from histoforge.generators.dcgan.objective import CrossEntropy
from histoforge.generators.dcgan.trained import load
from histoforge.generators.loading import draw
from histoforge.generators.methods import METHODS, method_config
from histoforge.patches import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo

sys.path.insert(0, str(Path(__file__).parents[1] / "steps"))
from two_pictures import make_patchset, pictures

DCGAN_METHODS = [name for name, method in METHODS.items() if method.package.endswith(".dcgan")]
SMALL = {"z_dim": 8, "generator_maps": 16, "discriminator_maps": 16, "batch_size": 8, "precision": "float32"}
LEARNING = {
    "dcgan": {"discriminator_norm": "none"},
    "improved_dcgan": {"discriminator_norm": "none"},
    "sngan": {},
    "lsgan": {"epochs": 3},
    "wgan_gp": {"n_critic": 2, "discriminator_norm": "none"},
}
"""Settings for learning a single picture, since the statistics of a batch of equal patches are useless."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return PatchSet.open(make_patchset(tmp_path_factory.mktemp("data") / "patches")).split("train").of_class(0)


def trained(method, data, work, checkpoint_every=0, **values):
    config = method_config(method, {**SMALL, **values})
    info = ModelInfo(
        kind="generator", method=method, config=config.model_dump(), classes=data.classes, patch_size=data.patch_size
    )
    engine = Engine(work, {}, device="cpu", precision=config.precision, checkpoint_every=checkpoint_every, label=method)
    return dcgan.train(config, data, engine, None, info)


@pytest.mark.parametrize("method", DCGAN_METHODS)
def test_each_learns_one_picture(data, tmp_path, method):
    how = {"epochs": 2, "epoch_steps": 75, "learning_rate": 2e-3, "ema_decay": 0.9, "beta1": 0.0, "precision": "auto"}
    result = trained(method, data, tmp_path, **{**how, **LEARNING[method]})
    samples = draw(result.generator, np.zeros(16, np.int64), seed=1).astype(float)
    distance, other_distance = (np.abs(samples - picture).mean() for picture in pictures())
    assert distance < 40, distance
    assert 2 * distance < other_distance
    rows = result.history.rows
    assert {"discriminator", "generator", "d_real", "d_fake"} <= set(rows[0])
    assert ("penalty" in rows[0]) == (method == "wgan_gp")


@pytest.mark.parametrize("method", DCGAN_METHODS)
def test_each_resumes_to_the_same_bits(data, tmp_path, method, monkeypatch):
    how = {"epochs": 2, "epoch_steps": 4, "n_critic": 2, "ema_decay": 0.9, "diff_augment": "colour,translation,cutout"}
    how |= {"flips": True}
    whole = trained(method, data, tmp_path / "whole", checkpoint_every=3, **how)
    average, calls = dcgan._Networks.average, []

    def stops(self):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        average(self)

    monkeypatch.setattr(dcgan._Networks, "average", stops)
    with pytest.raises(KeyboardInterrupt):
        trained(method, data, tmp_path / "cut", checkpoint_every=3, **how)
    monkeypatch.undo()
    cut = trained(method, data, tmp_path / "cut", checkpoint_every=3, **how)
    for name, weight in whole.state.items():
        assert torch.equal(weight, cut.state[name]), name
    for row, resumed in zip(whole.history.rows, cut.history.rows, strict=True):
        assert {**row, "seconds": 0} == {**resumed, "seconds": 0}


def test_gradients_are_clipped(data, tmp_path, monkeypatch):
    """Gradient descent at a rate of 1 moves each weight by its gradient."""
    monkeypatch.setattr(dcgan, "adam", lambda network, config: torch.optim.SGD(network.parameters(), lr=1.0))
    torch.manual_seed(derive_seed(0, "dcgan", "torch"))
    start = DcganGenerator(method_config("dcgan", SMALL), (16, 16), doublings=2).state_dict()
    moved = {}
    for clip in ("none", "value", "norm"):
        state = trained("dcgan", data, tmp_path / clip, clip=clip, clip_at=0.01, epochs=1, epoch_steps=1).state
        moved[clip] = torch.cat(
            [(state[name] - start[name]).flatten() for name in start if name.endswith(("weight", "bias"))]
        )
    assert moved["none"].abs().max() > 0.02
    assert moved["value"].abs().max() == pytest.approx(0.01, rel=1e-3)
    assert moved["norm"].norm() == pytest.approx(0.01, rel=1e-3)


def test_a_loss_that_is_not_finite_names_the_step(data, tmp_path, monkeypatch):
    monkeypatch.setattr(CrossEntropy, "generator", lambda self, scores: scores.mean() * float("nan"))
    with pytest.raises(TrainingError, match="dcgan: a loss was not finite at step 1 "):
        trained("dcgan", data, tmp_path, epochs=1, epoch_steps=2)


def test_an_unsupported_patch_size_is_an_error_with_those_it_can(data, tmp_path):
    other = PatchSet(data.info.model_copy(update={"patch_size": (100, 100)}), data.index, data._reader, data._rows)
    with pytest.raises(SettingsError, match=r"sngan cannot make patches of 100x100 px.*16.*96x96 or 112x112 px"):
        trained("sngan", other, tmp_path, epochs=1)


def test_weights_of_another_latent_size_are_refused(data, tmp_path):
    result = trained("dcgan", data, tmp_path, epochs=1, epoch_steps=1)
    info = result.generator.info
    loaded = load(info, result.state, torch.device("cpu"))
    labels = np.zeros(2, np.int64)
    np.testing.assert_array_equal(draw(loaded, labels, seed=3), draw(result.generator, labels, seed=3))
    changed = info.model_copy(update={"config": {**info.config, "z_dim": 9}})
    with pytest.raises(ModelError, match="noise of length 8, and its model.json says z_dim=9"):
        load(changed, result.state, torch.device("cpu"))
