"""Training of the unified ViT cGAN: it overfits, resumes exactly, selects, and hands on a classifier."""

import numpy as np
import pytest
from interrupted_engine import InterruptedEngine
from steps.two_pictures import CLASSES, pictures

from histoforge.generators.loading import draw
from histoforge.generators.methods import METHODS
from histoforge.generators.vitgan import train as vitgan
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.training.model_files import ModelInfo

TINY = {
    "z_dim": 20, "generator_channels": 128, "heads": 2, "encoders": 1, "discriminator_width": 0.1, "batch_size": 8,
    "learning_rate": 3e-3, "gp_weight": 1.0, "precision": "float32",
}  # fmt: skip
SIZE = (32, 32)


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "patches"
    with PatchSetWriter.create(path, CLASSES, SIZE, 1.0) as writer:
        for label, picture in enumerate(pictures()):
            large = np.kron(picture[:16, :16], np.ones((2, 2, 1), np.uint8))
            writer.add(np.repeat(large[None], 12, axis=0), label=label, patient=f"p{label}")
        writer.finish({"step": "test"}, split=(["train"] * 8 + ["val"] * 4) * 2)
    return PatchSet.open(path)


def train(work, patches, method="vitgan", end_at=0, train_on=None, **values):
    config = METHODS[method].config({**TINY, **values})
    info = ModelInfo(
        kind="generator", method=method, config=config.model_dump(), classes=CLASSES, patch_size=patches.patch_size
    )
    identity = {"config": config.model_dump(mode="json")}
    engine = InterruptedEngine(work, identity, device="cpu", precision=config.precision, checkpoint_every=2)
    engine.end_at = end_at
    data = patches.split("train") if train_on is None else train_on
    return vitgan.train(config, data, engine, None, info, validation=patches.split("val"))


def test_one_training_learns_to_draw_and_to_classify(patches, tmp_path):
    result = train(tmp_path, patches, epochs=2, epoch_steps=60)
    rows = result.history.rows
    assert rows[-1]["val_accuracy"] == 1
    assert rows[-1]["ce_real"] < 0.1 < rows[0]["ce_real"]
    means = draw(result.generator, np.array([0, 1]).repeat(8), seed=1).astype(float).reshape(2, -1).mean(1)
    assert abs(means[0] - means[1]) > 0
