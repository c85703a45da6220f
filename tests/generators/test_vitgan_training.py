"""Training of the unified ViT cGAN: it overfits, resumes exactly, selects, and hands on a classifier."""

import math

import numpy as np
import pytest
import torch
from interrupted_engine import InterruptedEngine, InterruptedTrainingError
from steps.two_pictures import CLASSES, pictures

from histoforge.classifiers.arms import load_classifier
from histoforge.classifiers.network import Classifier
from histoforge.core.errors import SettingsError, TrainingError
from histoforge.evaluation.pictures import generator_record
from histoforge.generators.loading import draw, load_generator
from histoforge.generators.methods import METHODS
from histoforge.generators.model_selection import FID, PIXEL_FID
from histoforge.generators.saving import save_generator
from histoforge.generators.vitgan import train as vitgan
from histoforge.generators.vitgan.discriminator import VitganDiscriminator, classifier_info
from histoforge.generators.wgan_gp import gradient_penalty
from histoforge.layers.token_attention import twice_differentiable
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import DevicePatches
from histoforge.training.model_files import ModelInfo

TINY = {
    "z_dim": 20,
    "generator_channels": 128,
    "heads": 2,
    "encoders": 1,
    "discriminator_width": 0.1,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "gp_weight": 1.0,
    "precision": "float32",
}
SIZE = (32, 32)


@pytest.fixture(scope="module")
def patches_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "patches"
    with PatchSetWriter.create(path, CLASSES, SIZE, 1.0) as writer:
        for label, picture in enumerate(pictures()):
            large = np.kron(picture[:16, :16], np.ones((2, 2, 1), np.uint8))
            writer.add(np.repeat(large[None], 12, axis=0), label=label, patient=f"p{label}")
        writer.finish({"step": "test"}, split=(["train"] * 8 + ["val"] * 4) * 2)
    return path


@pytest.fixture(scope="module")
def patches(patches_path):
    return PatchSet.open(patches_path)


def train(work, patches, method="vitgan", end_at=0, train_on=None, scorer=None, **values):
    config = METHODS[method].config({**TINY, **values})
    info = ModelInfo(
        kind="generator", method=method, config=config.model_dump(), classes=CLASSES, patch_size=patches.patch_size
    )
    identity = {"config": config.model_dump(mode="json")}
    engine = InterruptedEngine(work, identity, device="cpu", precision=config.precision, checkpoint_every=2)
    engine.end_at = end_at
    data = patches.split("train") if train_on is None else train_on
    return vitgan.train(config, data, engine, scorer, info, validation=patches.split("val"))


def test_one_training_learns_to_draw_and_to_classify(patches, tmp_path):
    result = train(tmp_path, patches, epochs=2, epoch_steps=20, filter_g=False)
    last = result.history.rows[-1]
    assert last["val_accuracy"] == 1
    assert last["ce_real"] < math.log(2)  # better than chance
    assert last["passed_0"] + last["passed_1"] > 0
    means = draw(result.generator, np.array([0, 1]).repeat(4), seed=1).astype(float).reshape(2, 4, -1, 3).mean((1, 2))
    assert means[0].mean() > means[1].mean() + 5  # the first picture is pale, the second one dark
    assert result.classifier.info.training["val_accuracy"] == 1
    assert len(result.classifier.info.training["history"]) == 2


def test_bfloat16_trains(patches, tmp_path):
    result = train(tmp_path, patches, epochs=1, epoch_steps=20, learning_rate=1e-3, precision="bfloat16")
    row = result.history.rows[0]
    assert all(np.isfinite(row[name]) for name in ("wasserstein", "penalty", "ce_real", "ce_synthetic"))
    assert row["val_accuracy"] == 1


def penalty_gradient(patches, precision):
    config = METHODS["vitgan"].config(TINY)
    info = ModelInfo(kind="generator", method="vitgan", config=config.model_dump(), classes=CLASSES, patch_size=SIZE)
    torch.manual_seed(0)
    network = VitganDiscriminator(Classifier(classifier_info(config, info)))
    real = DevicePatches.load(patches, "cpu").batch(torch.arange(8)).images
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"), twice_differentiable():
        rng = torch.Generator().manual_seed(1)
        gradient_penalty(network.source, real, real.flip(3), rng).backward()
    weights = [weight.grad.flatten() for weight in network.parameters() if weight.grad is not None]
    return torch.cat(weights)


def test_the_penalty_in_bfloat16_points_where_that_in_float32_points(patches):
    exact, fast = penalty_gradient(patches, "float32"), penalty_gradient(patches, "bfloat16")
    assert torch.nn.functional.cosine_similarity(exact, fast, dim=0) > 0.99


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_that_was_cut_short_ends_with_the_same_bits(patches, tmp_path, precision):
    settings = {
        "epochs": 2,
        "epoch_steps": 3,
        "flips": True,
        "ema_decay": 0.9,
        "diff_augment": "colour,translation",
        "n_critic": 2,
        "penalty_every": 2,
        "classifier_dropout": 0.2,
        "precision": precision,
        "confidence": 0.4,
    }
    whole = train(tmp_path / "whole", patches, **settings)
    with pytest.raises(InterruptedTrainingError):
        train(tmp_path / "cut", patches, end_at=5, **settings)
    resumed = train(tmp_path / "cut", patches, **settings)
    for one, other in ((whole.state, resumed.state), (whole.classifier.state, resumed.classifier.state)):
        assert all(torch.equal(weight, other[name]) for name, weight in one.items())
    drop = {"seconds"}
    assert [{k: v for k, v in row.items() if k not in drop} for row in resumed.history.rows] == [
        {k: v for k, v in row.items() if k not in drop} for row in whole.history.rows
    ]


def test_another_weighing_starts_anew_and_says_so(patches, tmp_path, capfd):
    with pytest.raises(InterruptedTrainingError):
        train(tmp_path, patches, end_at=3, epochs=1, epoch_steps=4)
    train(tmp_path, patches, epochs=1, epoch_steps=4, weighing="log")
    said = capfd.readouterr().err
    assert "resumes after step" not in said
    assert "Ignoring the checkpoint" in said
    assert "from another version, method, setting or data set" in said


def test_a_class_that_never_passes_is_named_in_a_warning(patches, tmp_path):
    result = train(tmp_path, patches, epochs=2, epoch_steps=1, confidence=0.999, learning_rate=1e-6)
    assert [row["passed_0"] for row in result.history.rows] == [0, 0]
    assert len(result.warnings) == 2
    assert "No synthetic patch of the class 'benign' passed the confidence filter" in result.warnings[0]
    assert result.classifier.info.training["warnings"] == result.warnings
    save_generator(tmp_path / "saved", result.generator.info, result, {}, seed=0)
    assert generator_record(tmp_path / "saved").notes == [f"Training of the generator: {w}" for w in result.warnings]


class FallingFid:
    """Scores each epoch better than the one before by pixel statistics, and worse by the extractor."""

    def __init__(self, distrust):
        self.distrust, self.scored = distrust, 0

    def score(self, generator):
        self.scored += 1
        return {FID: float(self.scored), PIXEL_FID: 1 / self.scored}


@pytest.mark.parametrize(
    ("distrust", "epoch", "by", "note"),
    [
        ("", 1, "lowest FID near", ""),
        ("It fails.", 2, "lowest FID of pixel", "It fails. Pixel statistics chose the epoch instead."),
    ],
)
def test_pixel_statistics_choose_the_epoch_if_the_extractor_fails_its_check(
    patches, tmp_path, distrust, epoch, by, note
):
    result = train(tmp_path, patches, epochs=2, epoch_steps=1, accuracy_tolerance=1.0, scorer=FallingFid(distrust))
    assert (result.chosen_epoch, result.choice_note) == (epoch, note)
    assert result.chosen_by.startswith(by)


@pytest.mark.parametrize(("warm_up", "changes"), [(2, False), (1, True)])
def test_synthetic_patches_enter_the_class_loss_after_the_warm_up(patches, tmp_path, warm_up, changes):
    last = train(tmp_path, patches, epochs=3, epoch_steps=1, class_warm_up=warm_up, confidence=0.01).history.rows[2]
    assert last["s_real"] != 0
    assert (last["s_synthetic"] != 0) == changes


def test_one_class_alone_is_refused_with_the_reason(patches, tmp_path):
    one = patches.split("train")
    with pytest.raises(SettingsError, match="also learns to classify, and all training patches are of the class 'ben"):
        train(tmp_path, patches, train_on=one.where(np.flatnonzero(one.labels == 0)), epochs=1)


def test_a_penalty_that_is_not_finite_stops_the_training(patches, tmp_path, monkeypatch):
    monkeypatch.setattr(vitgan.wgan_gp, "TINY", float("inf"))
    with pytest.raises(TrainingError, match="a loss was not finite at step 1"):
        train(tmp_path, patches, epochs=1, epoch_steps=3)


def test_what_is_saved_draws_and_classifies_the_same(patches, tmp_path):
    result = train(tmp_path / "work", patches, epochs=1, epoch_steps=1, z_dim=10)
    info = save_generator(tmp_path / "g", result.generator.info, result, {}, seed=0)
    labels = np.array([0, 1, 1])
    loaded = load_generator(tmp_path / "g", "cpu")
    assert loaded.info == info
    np.testing.assert_array_equal(draw(result.generator, labels, seed=5), draw(loaded, labels, seed=5))
    assert (draw(loaded, labels, seed=5) != draw(loaded, labels, seed=6)).any()
    points = loaded.latents(torch.tensor(labels), torch.Generator().manual_seed(1))
    alone = loaded.decode(points[1:2], torch.tensor([1]))
    torch.testing.assert_close(alone, loaded.decode(points, torch.tensor(labels))[1:2], atol=1e-4, rtol=1e-3)
    classifier = load_classifier(tmp_path / "g" / "classifier")
    images = DevicePatches.load(patches, "cpu").batch(torch.arange(3)).images
    assert classifier.info.kind == "classifier"
    assert classifier(images).shape == (3, 2)
    assert classifier.features(images).shape == (3, classifier.backbone.channels)
