"""A tiny patch set, arm and generators for tests that score generators."""

from pathlib import Path

import numpy as np
import torch

from histoforge.generators.dcgan.network import DcganGenerator
from histoforge.generators.histogan.trained import build
from histoforge.generators.joining import merged
from histoforge.generators.methods import METHODS
from histoforge.patches import PatchSetWriter
from histoforge.steps import train_classifier
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.training.model_files import ModelInfo, save_model

CLASSES = ["dark", "light"]
SIDE = 16
PATIENTS = {"train": 6, "val": 4, "test": 6}
CLASSIFIER = {
    "backbone": "resnet10",
    "width": 0.125,
    "stem": "small",
    "epochs": 2,
    "batch_size": 16,
    "device": "cpu",
    "precision": "float32",
}
HISTOGAN = {
    "stages": 1,
    "up_blocks": 2,
    "z_dim": 6,
    "base_channels": 16,
    "min_channels": 8,
    "residual_blocks": 1,
    "precision": "float32",
    "device": "cpu",
}
RLEO = {"z_dim": 6, "generator_maps": 8, "discriminator_maps": 8, "precision": "float32", "device": "cpu"}
SCORING = {
    "device": "cpu",
    "count": 40,
    "path_pairs": 6,
    "path_steps": 2,
    "map_patches": 20,
    "neighbours": 3,
    "copy_patches": 30,
}


def write_patches(path: Path, splits: dict[str, int] = PATIENTS, classes: list[str] = CLASSES) -> Path:
    """Write ten patches per patient, dark or light noise."""
    rng = np.random.default_rng(0)
    with PatchSetWriter.create(path, classes, (SIDE, SIDE), mpp=1.0) as writer:
        for split, patients in splits.items():
            for patient in range(patients):
                pixels = rng.normal((80, 170)[patient % 2], 40, (10, SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
                writer.add(
                    pixels, label=patient % 2, patient=f"{split}{patient}", slide=f"{split}{patient}", split=split
                )
        writer.finish({"step": "preprocess", "codecs": {"JPEG": 160}, "jpeg_quality": 90.0})
    return path


def train_arm(path: Path, patches: Path, name: str = "baseline", seeds: int = 2, **inputs: Path) -> Path:
    """Train an arm of tiny classifiers."""
    config = TrainClassifierConfig.make({**CLASSIFIER, "arm": name, "seeds": seeds})
    train_classifier.run(config, patches=patches, synthetic=inputs.get("synthetic"), model=path)
    return path


def write_generator(path: Path, seed: int = 0, history: bytes = b"", reward: str = "") -> Path:
    """Write a HistoGAN with random weights; with a reward, an RL-EO."""
    method = METHODS["rleo" if reward else "histogan"]
    config = method.config({**(RLEO if reward else HISTOGAN), "seed": seed, "reward": reward})
    torch.manual_seed(seed + len(reward))
    if reward:
        networks = [DcganGenerator(config, (SIDE, SIDE), doublings=2) for _ in CLASSES]
        state = merged([network.state_dict() for network in networks])
    else:
        state = build(config, (SIDE, SIDE), len(CLASSES)).state_dict()
    info = ModelInfo(
        kind="generator",
        method=method.name,
        classes=CLASSES,
        config=config.model_dump(),
        patch_size=(SIDE, SIDE),
        mpp=1.0,
        training={"seconds": 12.5, "steps": 40, "parameters": {"generator": 7}},
    )
    save_model(
        path,
        info,
        state,
        lambda folder: (folder / "history.json").write_bytes(history) if history else None,
    )
    return path
