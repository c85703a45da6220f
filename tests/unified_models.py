"""Generators that were trained together with a classifier, with random weights."""

import torch

from histoforge.classifiers.network import Classifier
from histoforge.generators.methods import METHODS
from histoforge.generators.vitgan.discriminator import classifier_info
from histoforge.generators.vitgan.generator import VitganGenerator
from histoforge.generators.vitgan.geometry import base_size
from histoforge.training.model_files import ModelInfo, save_model

TINY = {"z_dim": 20, "generator_channels": 128, "heads": 2, "encoders": 1, "discriminator_width": 0.1}


def save_unified(path, seed, classes=("coarse", "fine"), size=(32, 32), patches="digest", **values):
    """Write the model directory of a generator and, in it, that of its classifier."""
    torch.manual_seed(seed)
    config = METHODS["vitgan"].config({**TINY, **values, "seed": seed, "device": "cpu"})
    info = ModelInfo(
        kind="generator",
        method="vitgan",
        config=config.model_dump(exclude={"device"}),
        classes=list(classes),
        patch_size=size,
        digests={"patches": patches},
    )
    network = VitganGenerator(config, base_size(config, size, "vitgan"), len(classes))
    validation = {"val_loss": 0.5, "val_accuracy": 0.5 + seed / 10, "val_balanced_accuracy": 0.5}
    training = {
        "arm": "vitgan",
        "seed": seed,
        "best_epoch": 1,
        "epochs": 1,
        "steps": 1,
        **validation,
        "seconds": 2.0,
        "device": "cpu",
        "precision": "float32",
        "history": [validation],
        "warnings": [f"warning {seed}"],
        "counts": {"train": dict.fromkeys(classes, 8), "val": dict.fromkeys(classes, 4)},
    }
    of_classifier = classifier_info(config, info).model_copy(update={"training": training})
    weights = Classifier(of_classifier).state_dict()
    save_model(
        path, info, network.state_dict(), lambda folder: save_model(folder / "classifier", of_classifier, weights)
    )
    return path
