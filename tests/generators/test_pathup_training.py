"""Training of PathUp: it learns both levels from latents alone, resumes exactly, and refuses what it cannot learn."""

import shutil

import numpy as np
import pytest
import torch
from interrupted_engine import InterruptedEngine, InterruptedTrainingError
from steps.two_pictures import CLASSES, pictures

from histoforge.autoencoder.architecture import Architecture
from histoforge.autoencoder.latents import LatentSet, encode_latents
from histoforge.autoencoder.network import Autoencoder
from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.generators.loading import draw
from histoforge.generators.pathup import train as pathup
from histoforge.generators.pathup.config import PathupConfig
from histoforge.generators.pathup.network import PathupNetwork
from histoforge.generators.pathup.trained import load
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import to_uint8
from histoforge.training.model_files import ModelInfo

CPU = torch.device("cpu")
ARCHITECTURE = Architecture(
    block_out_channels=(8,), layers_per_block=1, latent_channels=3, norm_num_groups=4, mid_block_add_attention=False
)
TINY = {
    "unet_channels": 16,
    "levels": 2,
    "level_blocks": 1,
    "batch_size": 16,
    "sampling_steps": 10,
    "ema_decay": 0.95,
    "learning_rate": 3e-3,
    "precision": "float32",
}
PATCHES = pictures()[:, ::2, ::2]
OVERVIEWS = PATCHES[:, ::-1, :, ::-1]  # upside down and with other colours


class IdentityAutoencoder(Autoencoder):
    """One latent per pixel, its colours; so that tests see what the U-Net learned."""

    def encode(self, images):
        return images.float()

    def restore(self, latents):
        return latents.float()


def write(path, images, train_copies=8):
    with PatchSetWriter.create(path, CLASSES, (8, 8), 1.0) as writer:
        for label, picture in enumerate(images):
            for split, copies in (("train", train_copies), ("val", 2)):
                pixels = np.repeat(picture[None], copies, axis=0)
                writer.add(pixels, label=label, patient=f"{split}{label}", split=split)
        writer.finish({"step": "test"})
    return PatchSet.open(path)


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    return IdentityAutoencoder(ARCHITECTURE).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def made(tmp_path_factory, autoencoder):
    """Patches, and the latents of patches and overviews."""
    folder = tmp_path_factory.mktemp("data")
    levels = [write(folder / "patches", PATCHES), write(folder / "overviews", OVERVIEWS, train_copies=3)]
    info = ModelInfo(kind="autoencoder", method="identity", config={}, classes=CLASSES, patch_size=(8, 8))
    encode_latents(folder / "latents", autoencoder, info.sealed(), levels, False, CPU, torch.float32)
    return levels[0], LatentSet.open(folder / "latents"), folder


def train(work, made, autoencoder, end_at=0, latents=None, **values):
    config = PathupConfig.make({**TINY, **values})
    architecture = ARCHITECTURE.model_dump(mode="json")
    info = ModelInfo(
        kind="generator",
        method="pathup",
        config={**config.model_dump(), "autoencoder": architecture},
        classes=CLASSES,
        patch_size=(8, 8),
    )
    engine = InterruptedEngine(work, {"pathup": 1}, device="cpu", precision=config.precision, checkpoint_every=3)
    engine.end_at = end_at
    return pathup.train(config, made[0], engine, None, info, latents or made[1], autoencoder)


def distances(generator, level):
    """Mean difference of drawn images of each class from the pictures of patches and overviews, [2, 2, 2]."""
    images = generator.sample_level(torch.tensor([0, 1]).repeat(4), level, torch.Generator().manual_seed(1))
    drawn = to_uint8(images).numpy().astype(float)
    known = np.stack([PATCHES, OVERVIEWS]).astype(float)
    return np.array([[[np.abs(drawn[c::2] - picture).mean() for picture in kind] for kind in known] for c in (0, 1)])


@pytest.mark.parametrize(("target", "bound"), [("noise", 85), ("image", 40)])
def test_learns_one_picture_per_class_and_level(target, bound, made, autoencoder, tmp_path):
    result = train(tmp_path, made, autoencoder, epochs=2, epoch_steps=110, target=target)
    for level in (0, 1):
        near = distances(result.generator, level)
        for label in (0, 1):
            assert near[label, level, label] == near[label].min(), near
            assert near[label, level, label] < bound, near
    losses = [row["reconstruction"] for row in result.history.rows]
    assert losses[1] < losses[0]
    assert result.history.rows[1]["feature_entropy"] < np.log(4)
    assert result.figures["class_by_chance"] == 0.5
    assert result.figures["class_from_image"] > 0.9


def test_without_alignment_the_level_is_not_told(made, autoencoder, tmp_path):
    result = train(tmp_path, made, autoencoder, epochs=1, epoch_steps=2, alignment="none")
    np.testing.assert_array_equal(*(distances(result.generator, level) for level in (0, 1)))
    assert "feature_entropy" not in result.history.rows[0]


def test_the_feature_entropy_loss_changes_the_weights_by_its_weight_alone(made, autoencoder, tmp_path):
    states = {}
    for name, values in {
        "prompt": {"alignment": "prompt"},
        "without weight": {"feature_entropy_weight": 0.0},
        "entropy": {},
        "by signal": {"entropy_by_signal": True},
    }.items():
        states[name] = train(tmp_path / name, made, autoencoder, epochs=1, epoch_steps=2, **values).state
    weight = {name: state["unet.mid_block.resnets.0.conv1.weight"] for name, state in states.items()}
    torch.testing.assert_close(weight["prompt"], weight["without weight"], rtol=0, atol=0)
    assert not torch.equal(weight["prompt"], weight["entropy"])
    assert not torch.equal(weight["entropy"], weight["by signal"])


def test_conditions_are_dropped_at_the_configured_share(made, autoencoder, tmp_path, monkeypatch):
    seen = []
    forward = PathupNetwork.forward

    def recorded(network, noisy, times, conditions):
        if network.training:
            seen.append(conditions.clone())
        return forward(network, noisy, times, conditions)

    monkeypatch.setattr(PathupNetwork, "forward", recorded)
    train(tmp_path, made, autoencoder, epochs=1, epoch_steps=40, condition_dropout=0.25)
    conditions = torch.cat(seen)
    assert len(conditions) == 40 * 16
    counts = torch.bincount(conditions, minlength=5) / len(conditions)
    assert abs(float(counts[4]) - 0.25) < 0.05
    torch.testing.assert_close(counts[:4], torch.full((4,), 0.75 / 4), rtol=0, atol=0.05)


def test_training_never_runs_the_encoder(made, autoencoder, tmp_path, monkeypatch):
    encoded = []
    monkeypatch.setattr(IdentityAutoencoder, "encode", lambda network, images: encoded.append(images))
    monkeypatch.setattr(Autoencoder, "posterior", lambda network, images: encoded.append(images))
    assert train(tmp_path, made, autoencoder, epochs=1, epoch_steps=2).chosen_epoch == 1
    assert encoded == []


def test_a_trained_model_draws_the_same_when_it_is_loaded(made, autoencoder, tmp_path, monkeypatch):
    result = train(tmp_path, made, autoencoder, epochs=1, epoch_steps=1, guidance=2.0)
    assert {name.split(".")[0] for name in result.state} == {"unet", "conditions", "autoencoder"}
    monkeypatch.setattr("histoforge.generators.pathup.trained.Autoencoder", IdentityAutoencoder)
    loaded = load(result.generator.info, result.state, CPU)
    labels = np.array([0, 1, 1])
    np.testing.assert_array_equal(draw(result.generator, labels, seed=5), draw(loaded, labels, seed=5))


def test_a_training_that_was_cut_short_ends_with_the_same_bits(made, autoencoder, tmp_path):
    settings = {"epochs": 3, "epoch_steps": 3, "dropout": 0.2, "precision": "auto"}
    whole = train(tmp_path / "whole", made, autoencoder, **settings)
    with pytest.raises(InterruptedTrainingError):
        train(tmp_path / "cut", made, autoencoder, end_at=5, **settings)
    resumed = train(tmp_path / "cut", made, autoencoder, **settings)
    assert all(torch.equal(weight, resumed.state[name]) for name, weight in whole.state.items())
    for name in ("reconstruction", "feature_entropy"):
        assert [row[name] for row in resumed.history.rows] == [row[name] for row in whole.history.rows]
    assert resumed.figures == whole.figures


def without_overviews(made, label, folder):
    """The latents without the overviews of a class, or of all classes."""
    shutil.copytree(made[2] / "latents", folder)
    latents = LatentSet.open(folder)
    index = latents.index
    dropped = (index["level"] == 1) & ((index["label"] == label) if label is not None else True)
    return LatentSet(latents.info, index.assign(split=index["split"].mask(dropped, "test")), latents.latents)


def test_refuses_a_class_without_overviews_a_missing_level_and_missing_flips(made, autoencoder, tmp_path):
    with pytest.raises(PatchSetError, match="'tumour' has no training overviews.*set spatial_levels=patch"):
        train(tmp_path, made, autoencoder, latents=without_overviews(made, 1, tmp_path / "one"))
    missing = without_overviews(made, None, tmp_path / "all")
    with pytest.raises(PatchSetError, match="contain no overviews.*give train_autoencoder the overviews"):
        train(tmp_path, made, autoencoder, latents=missing)
    train(tmp_path, made, autoencoder, latents=missing, spatial_levels="patch", epochs=1, epoch_steps=1)
    with pytest.raises(SettingsError, match="flips=true needs latents of flipped images"):
        train(tmp_path, made, autoencoder, flips=True)


def test_both_levels_are_seen_about_equally_often(made):
    rows = pathup.training_rows(PathupConfig.make(TINY), made[1])
    assert np.bincount(made[1].levels[rows]).tolist() == [16, 18]
    assert set(made[1].index["split"].iloc[rows]) == {"train"}
    limited = pathup.training_rows(PathupConfig.make({**TINY, "max_patches": 6}), made[1])
    assert np.bincount(made[1].levels[limited]).tolist() == [6, 6]
