"""Training with the guide's reward: the effect of each mode, and resuming."""

import numpy as np
import pytest
import torch
from interrupted_engine import InterruptedEngine, InterruptedTrainingError
from steps.two_pictures import CLASSES, pictures
from tiny_guide import random_guide

from histoforge.generators.dcgan import train as dcgan
from histoforge.generators.dcgan.config import ImprovedDcganConfig
from histoforge.generators.loading import draw
from histoforge.generators.rleo import train as rleo
from histoforge.generators.rleo.config import RleoConfig
from histoforge.generators.rleo.objective import RewardedCrossEntropy, embed_all
from histoforge.generators.rleo.reward import RewardTerm
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import DevicePatches
from histoforge.training.model_files import ModelInfo

TINY = {
    "z_dim": 6,
    "generator_maps": 8,
    "discriminator_maps": 8,
    "batch_size": 8,
    "epochs": 2,
    "epoch_steps": 3,
    "precision": "float32",
}
MODES = ["literal", "policy", "soft_target", "weighted", "reinforce"]


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    path, random = tmp_path_factory.mktemp("data") / "patches", np.random.default_rng(0)
    noisy = np.repeat(pictures()[:1], 24, axis=0) + random.integers(-20, 20, (24, 16, 16, 3))
    with PatchSetWriter.create(path, CLASSES[:1], (16, 16), 0.5) as writer:
        writer.add(noisy.clip(0, 255).astype(np.uint8), label=0, patient="p")
        writer.finish({"step": "test"}, split=["train"] * 24)
    return PatchSet.open(path)


@pytest.fixture(scope="module")
def guide():
    return random_guide(size=16)


def train(work, patches, guide, method="rleo", end_at=0, **values):
    config = {"rleo": RleoConfig, "improved_dcgan": ImprovedDcganConfig}[method].make({**TINY, **values})
    info = ModelInfo(
        kind="generator", method=method, config=config.model_dump(), classes=CLASSES[:1], patch_size=(16, 16)
    )
    engine = InterruptedEngine(work, {"rleo": 1}, device="cpu", precision=config.precision, checkpoint_every=2)
    engine.end_at = end_at
    if method == "rleo":
        return rleo.train(config, patches, engine, None, info, guide)
    return dcgan.train(config, patches, engine, None, info)


@pytest.fixture(scope="module")
def unguided(patches, tmp_path_factory):
    return train(tmp_path_factory.mktemp("work"), patches, None, "improved_dcgan")


@pytest.mark.parametrize("mode", MODES)
def test_literal_alone_ends_with_the_bits_of_the_training_without_a_guide(mode, patches, guide, unguided, tmp_path):
    guided = train(tmp_path, patches, guide, reward=mode)
    same = all(torch.equal(weight, guided.state[name]) for name, weight in unguided.state.items())
    assert same == (mode == "literal")


@pytest.mark.parametrize("mode", MODES[1:])
def test_learns_what_its_patches_look_like(mode, patches, guide, tmp_path):
    how = {"epochs": 1, "epoch_steps": 100, "learning_rate": 2e-3, "beta1": 0.0, "ema_decay": 0.9, "precision": "auto"}
    how |= {"z_dim": 8, "generator_maps": 16, "discriminator_maps": 16, "discriminator_norm": "none"}
    result = train(tmp_path, patches, guide, reward=mode, **how)
    samples = draw(result.generator, np.zeros(16, np.int64), seed=1).astype(float)
    distance, other_distance = (np.abs(samples - picture).mean() for picture in pictures())
    assert distance < 40, distance
    assert 2 * distance < other_distance


def test_the_settings_without_the_reward_are_the_improved_dcgans():
    added = {"reward", "reward_weight", "guide_share", "pairing"}
    assert RleoConfig().model_dump(exclude=added) == ImprovedDcganConfig().model_dump()


def test_the_history_contains_reward_similarity_and_balance(patches, guide, tmp_path):
    literal, policy = (train(tmp_path / mode, patches, guide, reward=mode).history.rows for mode in MODES[:2])
    for row in literal:
        assert 0 < row["similarity"] <= 1
        assert row["reward"] == pytest.approx(0.3 * row["similarity"])  # from all fakes or some
        assert row["gradient_share"] == 0
    for row in policy:
        assert 0 < row["reward"] < 0.3 * row["similarity"]
        assert 0 < row["gradient_share"] < 1
        assert 0 < row["d_real"] < 1
        assert 0 < row["d_fake"] < 1


@pytest.mark.parametrize("mode", ["policy", "reinforce"])
def test_a_training_that_was_cut_short_ends_with_the_same_bits(mode, patches, guide, tmp_path):
    settings = {"reward": mode, "ema_decay": 0.9, "flips": True, "diff_augment": "translation"}
    whole = train(tmp_path / "whole", patches, guide, **settings)
    with pytest.raises(InterruptedTrainingError):
        train(tmp_path / "cut", patches, guide, end_at=4, **settings)
    resumed = train(tmp_path / "cut", patches, guide, **settings)
    assert all(torch.equal(weight, resumed.state[name]) for name, weight in whole.state.items())
    for row, other in zip(whole.history.rows, resumed.history.rows, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


def test_real_patches_are_embedded_once_and_found_by_their_rows(patches, guide):
    device_patches = DevicePatches.load(patches, "cpu")
    table = embed_all(guide, device_patches)
    rows = torch.tensor([17, 3])
    expected = guide.embed(device_patches.batch(rows).images)
    assert (table.dtype, table.shape) == (torch.float16, (24, expected.shape[1]))
    torch.testing.assert_close(table[rows].float(), expected, rtol=1e-3, atol=1e-4)


class CountingGuide:
    def __init__(self, guide):
        self.guide, self.seen = guide, []

    def embed(self, images):
        assert not images.requires_grad
        self.seen.append(len(images))
        return self.guide.embed(images)


@pytest.mark.parametrize(("share", "seen"), [(1.0, 8), (0.5, 4), (0.01, 2)])
def test_the_guide_sees_the_real_patches_once_and_its_share_of_the_fakes_once_a_step(
    share, seen, patches, guide, tmp_path
):
    counting = CountingGuide(guide)
    train(tmp_path, patches, counting, guide_share=share)
    assert counting.seen == [24, *[seen] * 6]


@pytest.mark.parametrize("mode", ["soft_target", "weighted"])
def test_targets_and_weights_of_fakes_stay_in_their_bounds_whatever_the_share(mode, patches, guide, tmp_path):
    counting, seen = CountingGuide(guide), []

    def noted(self, logits, similarities):
        seen.append(similarities)
        return term(self, logits, similarities)

    term = RewardTerm.__call__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RewardTerm, "__call__", noted)
        train(tmp_path, patches, counting, guide_share=0.3, reward=mode)
    assert counting.seen == [24, *[8] * 6]
    assert all(float(values.min()) >= 0 and float(values.max()) <= 1 for values in seen)


def test_a_reward_of_weight_zero_changes_no_random_number(patches, guide, unguided, tmp_path):
    """Trainings with equal seeds are then comparable, whichever random numbers the reward draws."""
    guided = train(tmp_path, patches, guide, reward="reinforce", reward_weight=0.0)
    assert all(torch.equal(weight, guided.state[name]) for name, weight in unguided.state.items())


def test_the_reward_is_not_in_the_generators_loss(patches, guide):
    objective = RewardedCrossEntropy(RleoConfig(), guide, DevicePatches.load(patches, "cpu"), torch.Generator())
    scores = torch.randn(4)
    torch.testing.assert_close(objective.generator(scores), torch.nn.functional.softplus(-scores).mean())
