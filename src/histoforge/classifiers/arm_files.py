"""The names of an arm's files, and the joining of classifiers into an arm. Imports no torch."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from histoforge import __version__
from histoforge.core.errors import ModelError
from histoforge.core.files import atomic_directory
from histoforge.core.seals import write_sealed
from histoforge.training.model_files import ModelInfo, load_arrays

ARM_NAME = "arm.json"
SCHEMA_VERSION, ADVICE = 1, "train the arm again"
NETWORKS = "networks"
"""Folder of an arm directory with the records of trainings that also made generators, one folder per seed."""
JUDGE = "judge"
"""Model directory and `arm.json` entry of the classifier with another backbone."""
_OF_ARM = ("counts", "warnings")
"""Entries of a classifier's training that `arm.json` has once for all classifiers."""


def seed_directory(seed: int) -> str:
    """Return the name of a seed's model directory inside an arm directory."""
    return f"seed-{seed}"


def join_classifiers(
    paths: Sequence[Path], out: Path, arm: str, factors: Mapping[str, str], add_record: Callable[[Path, Path], None]
) -> dict[str, Any]:
    """Write an arm directory of classifiers that were trained together with generators, one per seed.

    Args:
        paths: model directories of classifiers with the same settings and patch set.
        out: the arm directory to write.
        arm: its name.
        factors: what sets the arm apart in a study.
        add_record: function of a model directory and a new folder, `networks/seed-N`, that may write more about the
            training into that folder.

    Returns:
        The content of `arm.json`.

    Raises:
        ModelError: a model is damaged, the models do not belong together, or two of them have the same seed.
    """
    infos = {path: load_arrays(path, "classifier")[0] for path in paths}
    first = next(iter(infos.values()))
    for path, info in infos.items():
        _check_same_training(path, info, paths[0], first)
    by_seed = sorted(infos.items(), key=lambda item: int(item[1].training["seed"]))
    seeds = [info.training["seed"] for _, info in by_seed]
    if len(infos) < len(paths) or len(set(seeds)) < len(seeds):
        raise ModelError(
            f"Two of the classifiers to join have the same seed ({', '.join(map(str, seeds))}): train each with a seed "
            "of its own."
        )
    with atomic_directory(out) as directory:
        for path, info in by_seed:
            shutil.copytree(path, directory / seed_directory(info.training["seed"]))
            add_record(path, directory / NETWORKS / seed_directory(info.training["seed"]))
        content = {
            **{name: value for name, value in first.config.items() if name == "fold" and value >= 0},
            "arm": arm,
            "factors": dict(factors),
            "seeds": seeds,
            "method": first.method,
            "config": first.config,
            "classes": first.classes,
            "patch_size": list(first.patch_size),
            "digests": first.digests,
            "counts": first.training["counts"],
            "class_weights": dict.fromkeys(first.classes, 1.0),
            "code_version": __version__,
            "warnings": list(dict.fromkeys(text for _, info in by_seed for text in info.training["warnings"])),
            "runs": [_run(info, arm) for _, info in by_seed],
        }
        return write_sealed(directory / ARM_NAME, content, SCHEMA_VERSION)


def _run(info: ModelInfo, arm: str) -> dict[str, Any]:
    record = {name: value for name, value in info.training.items() if name not in _OF_ARM}
    return {**record, "arm": arm, "model": seed_directory(info.training["seed"]), "digest": info.digest}


def _check_same_training(path: Path, info: ModelInfo, first_path: Path, first: ModelInfo) -> None:
    settings = sorted({**first.config, **info.config})
    for what, value, expected in (
        ("backbone", info.method, first.method),
        *((name, info.config.get(name), first.config.get(name)) for name in settings),
        ("classes", info.classes, first.classes),
        ("patch size", info.patch_size, first.patch_size),
        ("patch set", info.digests.get("patches"), first.digests.get("patches")),
    ):
        if value != expected:
            raise ModelError(
                f"{path} and {first_path} cannot be joined, since their {what} differ ({value} and {expected}): train "
                "both with the same settings on the same patch set, and with different seeds."
            )
