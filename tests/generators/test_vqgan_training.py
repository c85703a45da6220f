"""Training of VQGAN: it learns two pictures, resumes exactly in both stages, and reports its codebook."""

import signal

import numpy as np
import pytest
import torch
from interrupted_engine import InterruptedEngine, InterruptedTrainingError
from processes import kill_at_call, run_process
from random_vgg import random_vgg, write_random_vgg
from steps.two_pictures import CLASSES, make_patchset, pictures

from histoforge.generators.loading import draw, load_generator
from histoforge.generators.methods import METHODS
from histoforge.generators.saving import save_generator
from histoforge.generators.vqgan.loss import adaptive_weight
from histoforge.generators.vqgan.stages import Stages
from histoforge.generators.vqgan.train import train as train_vqgan
from histoforge.metrics.lpips import LpipsDistance
from histoforge.patches import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.log import read_log
from histoforge.training.model_files import ModelInfo, load_model

TINY = {
    "vq_channels": 8,
    "downsamplings": 2,
    "level_blocks": 1,
    "codebook_size": 16,
    "code_channels": 4,
    "discriminator_channels": 4,
    "discriminator_layers": 2,
    "discriminator_start": 2,
    "restart_after": 5,
    "prior_layers": 1,
    "prior_channels": 16,
    "prior_heads": 2,
    "batch_size": 4,
    "precision": "float32",
    "device": "cpu",
}
RESUMED = {"epochs": 2, "epoch_steps": 5, "flips": True, "restart_after": 2, "prior_dropout": 0.1}
"""The first stage has five of ten steps: it ends with the first epoch."""
FIRST_STAGE = {"reconstruction", "psnr", "codebook", "perplexity", "restarted"}
JUDGED = {"generator", "adaptive_weight", "discriminator"}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_patchset(tmp_path_factory.mktemp("data") / "patches")


def train(work, path, end_at=0, scorer=None, **values):
    config = METHODS["vqgan"].config({**TINY, **values})
    patches = PatchSet.open(path)
    info = ModelInfo(
        kind="generator", method="vqgan", config=config.model_dump(), classes=CLASSES, patch_size=patches.patch_size
    )
    engine = InterruptedEngine(work, {}, device="cpu", precision=config.precision, checkpoint_every=2, log_every=4)
    engine.end_at = end_at
    return train_vqgan(config, patches, engine, scorer, info)


def test_it_learns_two_pictures(path, tmp_path):
    result = train(
        tmp_path, path, epochs=2, epoch_steps=60, learning_rate=5e-3, prior_learning_rate=1e-2, discriminator_start=40
    )
    samples = draw(result.generator, np.array([0, 1]).repeat(8), seed=1).astype(float)
    to_own_class = [np.abs(samples[8 * label :][:8] - picture).mean() for label, picture in enumerate(pictures())]
    to_other_class = [
        np.abs(samples[8 * label :][:8] - picture).mean() for label, picture in enumerate(pictures()[::-1])
    ]
    assert max(to_own_class) < 40
    assert 2 * max(to_own_class) < min(to_other_class)
    assert result.figures["psnr"] > 15
    assert 2 / 16 <= result.figures["codes_used"] <= 1
    assert 1 < result.figures["perplexity"] <= 16 * result.figures["codes_used"]


def test_each_stage_has_its_values_and_the_discriminator_its_start(path, tmp_path):
    """An epoch and a line of the log in which both stages have a part hold the mean of each over its own steps."""
    result = train(tmp_path, path, epochs=2, epoch_steps=4, codebook_share=0.75)  # the second stage begins in step 6
    first, second = (
        {name for name in row if not name.startswith(("fid", "epoch", "step"))} for row in result.history.rows
    )
    assert first - {"seconds"} == FIRST_STAGE | JUDGED
    assert second - {"seconds"} == FIRST_STAGE | JUDGED | {"prior"}
    lines = read_log(tmp_path / "training.jsonl")
    assert [line["step"] for line in lines] == [4, 8]
    for row, line in zip(result.history.rows, lines, strict=True):
        for name in (set(row) & set(line)) - {"step", "epoch"}:
            assert line[name] == pytest.approx(row[name]), name
    assert 0.5 * np.log(16) < result.history.rows[1]["prior"] < 2 * np.log(16), "of two steps, not of four"


def test_the_loss_and_the_gradients_of_eq_7_contain_the_perceptual_distance(path, tmp_path):
    vgg = write_random_vgg(tmp_path / "vgg16.pth")
    config = METHODS["vqgan"].config(
        {**TINY, "lpips_weights": str(vgg), "perceptual_weight": 3.0, "discriminator_start": 0, "restart_after": 0}
    )
    engine, losses = Engine(tmp_path, {}, device="cpu", precision="float32"), []
    engine.step = lambda optimizer, loss: losses.append(loss)
    stages = Stages(config, PatchSet.open(path), engine)
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    weight = stages.train_codebook(images)["adaptive_weight"]

    coding = stages.autoencoder(images)
    distance = LpipsDistance(random_vgg(), "", "vgg16.pth").between(images, coding.restored).mean()
    reconstruction = (images - coding.restored).abs().mean() + 3 * distance
    adversarial = -stages.discriminator(coding.restored).mean()
    torch.testing.assert_close(weight, adaptive_weight(reconstruction, adversarial, stages.autoencoder.last_layer))
    torch.testing.assert_close(
        losses[0], reconstruction + coding.codebook_loss + config.adversarial_weight * weight * adversarial
    )


def test_the_second_stage_leaves_the_autoencoder_as_it_is(path, tmp_path):
    """Two steps of the first stage, and one or four of the second."""
    first = train(tmp_path / "first", path, epochs=1, epoch_steps=3, codebook_share=0.6).state
    later = train(tmp_path / "later", path, epochs=1, epoch_steps=6, codebook_share=0.4).state
    assert all(torch.equal(later[name], weight) for name, weight in first.items() if name.startswith("autoencoder"))
    assert not torch.equal(later["prior.head.weight"], first["prior.head.weight"])


@pytest.mark.parametrize("end_at", [3, 6, 9])
def test_a_training_that_was_cut_short_ends_with_the_same_bits(whole, path, tmp_path, end_at):
    with pytest.raises(InterruptedTrainingError):
        train(tmp_path, path, end_at=end_at, **RESUMED)
    resumed = train(tmp_path, path, **RESUMED)
    assert all(torch.equal(weight, resumed.state[name]) for name, weight in whole.state.items())
    assert resumed.figures == whole.figures
    for row, other in zip(whole.history.rows, resumed.history.rows, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


@pytest.fixture(scope="module")
def whole(path, tmp_path_factory):
    """The result of a training that nothing stopped."""
    return train(tmp_path_factory.mktemp("whole"), path, **RESUMED)


def train_in_a_process(work, path, out, die_at):
    """Train and save; the process kills itself at the end of a step, counted from where it resumes, 0 for none."""
    torch.set_num_threads(1)
    kill_at_call(Engine, "end_of_step", die_at)
    result = train(work, path, **RESUMED)
    save_generator(out, result.generator.info, result, {}, seed=0)


def test_killed_in_both_stages_it_ends_with_the_same_bytes(path, tmp_path):
    assert run_process(tmp_path / "log", train_in_a_process, tmp_path / "a", path, tmp_path / "whole", 0).code == 0
    for call in (4, 7):  # the second one in step 9, as it resumes after step 2
        killed = run_process(tmp_path / "log", train_in_a_process, tmp_path / "b", path, tmp_path / "cut", call)
        assert killed.code == -signal.SIGKILL, killed.stderr
    ended = run_process(tmp_path / "log", train_in_a_process, tmp_path / "b", path, tmp_path / "cut", 0)
    assert "resumes after step 8 of 10" in ended.stderr
    assert load_model(tmp_path / "whole", "generator")[0].digest == load_model(tmp_path / "cut", "generator")[0].digest


class Scorer:
    """Notes the epochs that it scores, of which the last is best."""

    distrust = ""

    def __init__(self):
        self.scores = [9.0, 8.0, 7.0, 6.0]

    def score(self, generator):
        assert generator.sample(torch.tensor([0]), torch.Generator().manual_seed(0)).shape == (1, 3, 16, 16)
        return {"fid": self.scores.pop(0), "fid_pixels": 1.0}


def test_only_epochs_with_a_trained_transformer_are_scored(path, tmp_path):
    result = train(tmp_path, path, scorer=Scorer(), epochs=4, epoch_steps=1, fid_every=1)
    assert result.selection.epochs == [3, 4]
    assert [row["fid"] for row in result.history.rows] == [None, None, 9.0, 8.0]


def test_few_used_codes_and_a_late_discriminator_are_reported(path, tmp_path):
    result = train(tmp_path, path, epochs=1, epoch_steps=2, restart_after=0, codebook_size=512, discriminator_start=1)
    assert result.figures["codes_used"] < 0.5
    few, late = result.warnings
    assert few.startswith(f"Only {result.figures['codes_used']:.0%} of the 512 codes occur in training patches: lower")
    assert "The discriminator took no part" in late
    assert "restarted" not in result.history.rows[0]


def test_what_is_saved_draws_the_same(whole, tmp_path):
    save_generator(tmp_path / "model", whole.generator.info, whole, {}, seed=0)
    loaded, labels = load_generator(tmp_path / "model", "cpu"), np.array([0, 1, 1])
    np.testing.assert_array_equal(draw(whole.generator, labels, seed=5), draw(loaded, labels, seed=5))
    assert (draw(loaded, labels, seed=5) != draw(loaded, labels, seed=6)).any()
