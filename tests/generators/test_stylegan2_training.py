"""Training of StyleGAN2: it learns two pictures, resumes exactly, and regularises lazily."""

import signal

import numpy as np
import pytest
import torch
from interrupted_engine import InterruptedEngine, InterruptedTrainingError
from processes import kill_at_call, run_process
from steps.two_pictures import CLASSES, make_patchset, pictures

from histoforge.core.errors import TrainingError
from histoforge.generators.loading import draw, load_generator
from histoforge.generators.methods import METHODS
from histoforge.generators.saving import save_generator
from histoforge.generators.stylegan2 import train as stylegan2
from histoforge.patches import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo, load_model

TINY = {
    "z_dim": 8,
    "style_dim": 8,
    "mapping_layers": 2,
    "channel_base": 256,
    "channel_max": 16,
    "batch_size": 8,
    "precision": "float32",
    "device": "cpu",
}
RESUMED = {
    "epochs": 2,
    "epoch_steps": 4,
    "flips": True,
    "ema_half_life": 20,
    "diff_augment": "colour,translation",
    "r1_every": 3,
    "path_every": 2,
}
"""The step in which a training ends is neither one of R1 nor one of path lengths, so that their turns are tested."""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_patchset(tmp_path_factory.mktemp("data") / "patches")


def train(work, path, end_at=0, **values):
    config = METHODS["stylegan2"].config({**TINY, **values})
    patches = PatchSet.open(path)
    info = ModelInfo(
        kind="generator", method="stylegan2", config=config.model_dump(), classes=CLASSES, patch_size=patches.patch_size
    )
    engine = InterruptedEngine(work, {}, device="cpu", precision=config.precision, checkpoint_every=2)
    engine.end_at = end_at
    return stylegan2.train(config, patches, engine, None, info)


def test_it_learns_two_pictures(path, tmp_path):
    result = train(tmp_path, path, epochs=2, epoch_steps=40, learning_rate=1e-2, ema_half_life=60, precision="auto")
    samples = draw(result.generator, np.array([0, 1]).repeat(8), seed=1).astype(float)
    own = [np.abs(samples[8 * label :][:8] - picture).mean() for label, picture in enumerate(pictures())]
    other = [np.abs(samples[8 * label :][:8] - picture).mean() for label, picture in enumerate(pictures()[::-1])]
    assert max(own) < 40, own
    assert 2 * max(own) < min(other), (own, other)
    row = result.history.rows[-1]
    assert {"discriminator", "generator", "d_real", "d_fake", "path_length"} <= set(row)
    assert row["path_length"] > 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_that_was_cut_short_ends_with_the_same_bits(path, tmp_path, precision):
    whole = train(tmp_path / "whole", path, precision=precision, **RESUMED)
    with pytest.raises(InterruptedTrainingError):
        train(tmp_path / "cut", path, end_at=6, precision=precision, **RESUMED)
    resumed = train(tmp_path / "cut", path, precision=precision, **RESUMED)
    assert all(torch.equal(weight, resumed.state[name]) for name, weight in whole.state.items())
    for row, other in zip(whole.history.rows, resumed.history.rows, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


def train_in_a_process(work, path, out, die_at):
    """Train and save; the process kills itself at the end of a step, counted from where it resumes, 0 for none."""
    torch.set_num_threads(1)
    kill_at_call(Engine, "end_of_step", die_at)
    result = train(work, path, **RESUMED)
    save_generator(out, result.generator.info, result, {}, seed=0)


def test_killed_in_a_step_it_ends_with_the_same_bytes(path, tmp_path):
    assert run_process(tmp_path / "log", train_in_a_process, tmp_path / "a", path, tmp_path / "whole", 0).code == 0
    killed = run_process(tmp_path / "log", train_in_a_process, tmp_path / "b", path, tmp_path / "cut", 7)
    assert killed.code == -signal.SIGKILL, killed.stderr
    ended = run_process(tmp_path / "log", train_in_a_process, tmp_path / "b", path, tmp_path / "cut", 0)
    assert "resumes after step 6 of 8" in ended.stderr
    assert load_model(tmp_path / "whole", "generator")[0].digest == load_model(tmp_path / "cut", "generator")[0].digest


def regularised(path, work, monkeypatch, **values):
    """The steps that each regulariser had a part in, and the factors on them, from updates by gradient descent."""
    updates = []

    def step(self, optimizer, loss, **_):
        updates.append((self.global_step, optimizer, float(loss.detach())))

    monkeypatch.setattr(Engine, "step", step)
    train(work, path, epochs=1, epoch_steps=9, **values)
    counts = {}
    for number, optimizer, _ in updates:
        counts[id(optimizer), number] = counts.get((id(optimizer), number), 0) + 1
    optimizers = list(dict.fromkeys(id(optimizer) for _, optimizer, _ in updates))
    extra = [[number for number in range(9) if counts[name, number] == 2] for name in optimizers]
    return *extra, updates


def test_the_regularisers_have_steps_of_their_own(path, tmp_path, monkeypatch):
    r1, lengths, _ = regularised(path, tmp_path, monkeypatch, r1_every=4, path_every=3)
    assert (r1, lengths) == ([0, 4, 8], [0, 3, 6])


def test_without_a_weight_there_is_no_path_length_penalty(path, tmp_path, monkeypatch):
    r1, lengths, _ = regularised(path, tmp_path, monkeypatch, r1_every=4, path_weight=0)
    assert (r1, lengths) == ([0, 4, 8], [])


def test_lazy_penalties_are_weighted_by_their_interval(path, tmp_path, monkeypatch):
    """The first step's penalties, at the same weights and random numbers."""
    often = regularised(path, tmp_path / "a", monkeypatch, r1_every=1, r1_gamma=3.0, path_every=1, path_weight=1)[2]
    lazy = regularised(path, tmp_path / "b", monkeypatch, r1_every=8, r1_gamma=6.0, path_every=4, path_weight=5)[2]
    assert lazy[2][2] == pytest.approx(16 * often[2][2], rel=1e-4)
    assert lazy[3][2] == pytest.approx(20 * often[3][2], rel=1e-4)


def test_the_default_weight_of_r1_follows_the_pixels_and_the_batch(path, tmp_path, monkeypatch):
    chosen = regularised(path, tmp_path / "a", monkeypatch, r1_gamma=0.0002 * 16 * 16 / 8)[2]
    default = regularised(path, tmp_path / "b", monkeypatch)[2]
    assert default[2][2] == chosen[2][2] > 0


@pytest.mark.parametrize(("every", "c"), [(16, 16 / 17), (8, 8 / 9), (0, 1)])
def test_adam_allows_for_the_added_updates(every, c):
    """Appendix B: the learning rate and the exponents of the betas are those of k of k + 1 updates."""
    config = METHODS["stylegan2"].config({"beta1": 0.5})
    (group,) = stylegan2._lazy_adam(torch.nn.Linear(1, 1), config, every).param_groups
    assert group["lr"] == pytest.approx(2e-3 * c)
    assert group["betas"] == pytest.approx((0.5**c, 0.99**c))
    assert group["betas"][1] ** ((every + 1) / (every or 1)) == pytest.approx(0.99)


def test_the_average_halves_a_weight_in_the_given_number_of_patches():
    config = METHODS["stylegan2"].config({"batch_size": 50, "ema_half_life": 1000})
    assert config.ema_decay ** (1000 / 50) == pytest.approx(0.5)
    assert METHODS["stylegan2"].config({"ema_half_life": 0}).ema_decay == 0


def test_what_is_saved_draws_the_same(path, tmp_path):
    result = train(tmp_path / "work", path, epochs=1, epoch_steps=1, truncation_psi=0.7)
    save_generator(tmp_path / "model", result.generator.info, result, {}, seed=0)
    loaded, labels = load_generator(tmp_path / "model", "cpu"), np.array([0, 1, 1])
    np.testing.assert_array_equal(draw(result.generator, labels, seed=5), draw(loaded, labels, seed=5))
    assert (draw(loaded, labels, seed=5) != draw(loaded, labels, seed=6)).any()


def test_a_penalty_that_is_not_finite_stops_the_training(path, tmp_path, monkeypatch):
    monkeypatch.setattr(stylegan2, "r1_penalty", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(TrainingError, match="a loss was not finite at step 1"):
        train(tmp_path, path, epochs=1, epoch_steps=2)
