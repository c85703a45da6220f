"""An arm on disk: `arm.json` and one model directory a seed."""

from pathlib import Path
from typing import Any

import torch

from histoforge.classifiers.network import Classifier
from histoforge.core.documents import read_json
from histoforge.core.errors import ModelError
from histoforge.training.models import INFO_NAME, load_model

ARM_NAME = "arm.json"
JUDGE = "judge"
"""The model directory, and the entry of `arm.json`, of a classifier of another architecture."""


def seed_directory(seed: int) -> str:
    """The name of a seed's model directory inside an arm directory."""
    return f"seed-{seed}"


def read_arm(path: Path) -> dict[str, Any]:
    """What `arm.json` says: arm, seeds, config, digests, counts, class_weights and runs (a dict a seed).

    Raises:
        ModelError: it is missing or damaged.
    """
    file = Path(path) / ARM_NAME
    if not file.is_file():
        raise ModelError(f"{path} is not an arm (it has no {ARM_NAME}): name a folder that train_classifier made.")
    try:
        arm: dict[str, Any] = read_json(file, ModelError)
        if {"arm", "seeds", "runs"} <= arm.keys():
            return arm
    except (ModelError, AttributeError):
        pass
    raise ModelError(f"{file} is damaged: train the arm again.")


def load_arm(path: Path, device: torch.device | str = "cpu") -> list[Classifier]:
    """The classifiers of an arm directory, in the order of their seeds, in evaluation.

    Raises:
        ModelError: the arm or one of its models is missing or damaged.
    """
    seeds = sorted(read_arm(path)["seeds"])
    return [load_classifier(Path(path) / seed_directory(seed), device) for seed in seeds]


def load_judge(path: Path, device: torch.device | str = "cpu") -> Classifier | None:
    """Load the arm's classifier of another architecture, in evaluation; None where it was trained without one.

    Raises:
        ModelError: the arm or the model is missing or damaged.
    """
    return load_classifier(Path(path) / JUDGE, device) if read_arm(path).get(JUDGE) else None


def load_classifier(path: Path, device: torch.device | str = "cpu") -> Classifier:
    """A classifier, in evaluation and channels_last, from a model directory or (its lowest seed) an arm directory.

    Raises:
        ModelError: it is missing, damaged, or no classifier.
    """
    path = Path(path)
    if not (path / INFO_NAME).is_file() and (path / ARM_NAME).is_file():
        path = path / seed_directory(min(read_arm(path)["seeds"]))
    info, state = load_model(path, "classifier")
    classifier = Classifier(info)
    try:
        classifier.load_state_dict(state)
    except RuntimeError:
        raise ModelError(
            f"The weights in {path} do not fit the {info.method} that its description names: train it again."
        ) from None
    return classifier.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
