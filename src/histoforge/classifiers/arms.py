"""An arm on disk: `arm.json` and one model directory per seed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field, ValidationError

from histoforge.classifiers.arm_files import ADVICE, ARM_NAME, JUDGE, SCHEMA_VERSION, seed_directory
from histoforge.classifiers.network import Classifier
from histoforge.core.errors import ModelError
from histoforge.core.seals import read_sealed
from histoforge.core.validation import reason_of
from histoforge.patches import PatchSet
from histoforge.training.model_files import INFO_NAME, load_model, read_model_info


class _Run(BaseModel):
    """The entries of a run that are read."""

    seed: Annotated[int, Field(strict=True, ge=0)]
    digest: str = ""


class _Arm(BaseModel):
    """The entries of `arm.json` that are read, and their types."""

    arm: str
    seeds: list[Annotated[int, Field(strict=True, ge=0)]] = Field(min_length=1)
    runs: list[_Run]
    judge: _Run | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    digests: dict[str, str] = Field(default_factory=dict)
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    fold: Annotated[int, Field(strict=True, ge=0)] | None = None
    generator: str = ""
    generator_seed: Annotated[int, Field(strict=True, ge=0)] | None = None


def read_arm(path: Path) -> dict[str, Any]:
    """Return the content of `arm.json`.

    Its entries are arm, seeds, config, digests, counts, class_weights and runs (one dict per seed); for one fold of a
    cross-validation also fold, and for synthetic patches of one generator also generator (its digest) and
    generator_seed.

    Raises:
        ModelError: it is missing or damaged.
    """
    file = Path(path) / ARM_NAME
    if not file.is_file():
        raise ModelError(f"{path} is not an arm (it has no {ARM_NAME}): name a folder that train_classifier wrote.")
    arm = read_sealed(file, SCHEMA_VERSION, ADVICE)
    try:
        seeds = _Arm.model_validate(arm).seeds
    except ValidationError as error:
        raise ModelError(f"{file} is damaged ({reason_of(error)}): {ADVICE}.") from None
    if seeds != [run["seed"] for run in arm["runs"]]:
        raise ModelError(f"{file} is damaged (its runs are not those of its seeds): {ADVICE}.")
    return arm


def arm_origin(patches: PatchSet, synthetic: PatchSet | None) -> dict[str, Any]:
    """Return the entries of `arm.json` that say what sets an arm apart from others of its name: fold and generator."""
    origin: dict[str, Any] = {"fold": patches.fold} if patches.fold >= 0 else {}
    made_by = {} if synthetic is None else synthetic.info.made_by
    return origin | {name: made_by[name] for name in ("generator", "generator_seed") if made_by.get(name) is not None}


def check_model(path: Path, run: Mapping[str, Any], name: str) -> Path:
    """Return a model directory of an arm after checking that the arm was written with this model.

    Args:
        path: the arm directory.
        run: the entry of `arm.json` for the model.
        name: name of the model directory.

    Raises:
        ModelError: the model is missing, damaged, or another one.
    """
    digest, recorded = read_model_info(path / name, "classifier").digest, run.get("digest", "")
    if recorded and recorded != digest:
        raise ModelError(
            f"{path / name} is not the model in {ARM_NAME} beside it ({digest[:12]}, not {recorded[:12]}): copy the "
            "whole arm again, or train it again."
        )
    return path / name


def seed_model(path: Path, seed: int | None = None) -> Path:
    """Return the model directory of a seed of an arm (None: its lowest seed), checked by `check_model`."""
    runs = {run["seed"]: run for run in read_arm(path)["runs"]}
    chosen = min(runs) if seed is None else seed
    return check_model(path, runs[chosen], seed_directory(chosen))


def load_arm(path: Path, device: torch.device | str = "cpu") -> list[Classifier]:
    """Load the classifiers of an arm directory, in the order of their seeds, in evaluation mode.

    Raises:
        ModelError: the arm or one of its models is missing or damaged.
    """
    seeds = sorted(read_arm(path)["seeds"])
    return [load_classifier(seed_model(Path(path), seed), device) for seed in seeds]


def load_judge(path: Path, device: torch.device | str = "cpu") -> Classifier | None:
    """Load the arm's classifier of another architecture, in evaluation mode; None if the arm was trained without one.

    Raises:
        ModelError: the arm or the model is missing or damaged.
    """
    judge = read_arm(path).get(JUDGE)
    return load_classifier(check_model(Path(path), judge, JUDGE), device) if judge else None


def load_classifier(path: Path, device: torch.device | str = "cpu") -> Classifier:
    """Load a classifier, in evaluation mode and channels_last, from a model directory or an arm's lowest seed.

    Raises:
        ModelError: it is missing, damaged, or not a classifier.
    """
    path = Path(path)
    if not (path / INFO_NAME).is_file() and (path / ARM_NAME).is_file():
        path = seed_model(path)
    info, state = load_model(path, "classifier")
    classifier = Classifier(info)
    try:
        classifier.load_state_dict(state)
    except RuntimeError:
        raise ModelError(
            f"The weights in {path} do not fit the {info.method} in its description: train it again."
        ) from None
    return classifier.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
