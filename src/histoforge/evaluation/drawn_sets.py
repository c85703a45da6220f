"""The generators of an evaluation with the patches that they drew, and given patches, by name, fold and seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoforge.core.errors import SettingsError
from histoforge.evaluation.inputs import open_synthetic
from histoforge.evaluation.synthetic_sets import SyntheticSets
from histoforge.patches import PatchSet
from histoforge.training.model_files import ModelInfo, read_model_info


@dataclass(frozen=True)
class DrawnSet:
    """The patches of one generator, with the generator where it was given, or patches that were given.

    Attributes:
        name: the name of given patches; '' for those of a generator.
        fold: the fold whose training patches it has seen; -1 for a single split.
        generator_seed: its seed; None if it is not recorded.
        sets: the candidates or the kept patches; None if only the generator was given.
        generator: the generator's directory.
        info: the generator's description.
    """

    name: str
    fold: int
    generator_seed: int | None
    sets: SyntheticSets | None = None
    generator: Path | None = None
    info: ModelInfo | None = None


def open_drawn(
    generators: Sequence[Path], pools: Sequence[Path], selections: Sequence[Path], real: PatchSet
) -> list[DrawnSet]:
    """Open generators and synthetic patches, and return them together, ordered by generator seed, name and fold.

    Raises:
        SettingsError: there are two of one name, fold and generator seed.
        PatchSetError: a patch set is damaged, or has other classes or another patch size than `real`.
        ModelError: a generator is damaged.
    """
    if pools:
        sets = [SyntheticSets.of_pool(open_synthetic(path, real, "candidate pool")) for path in pools]
    else:
        sets = [SyntheticSets.of_selection(open_synthetic(path, real, "selection")) for path in selections]
    trained = [(path, read_model_info(path, "generator")) for path in generators]
    if len(sets) <= 1 and len(trained) <= 1:
        return _only(sets, trained)
    synthetic = {_place_of_patches(each.patches.info.made_by): each for each in sets}
    models = {_place_of_model(info): (path, info) for path, info in trained}
    for given, distinct, name in ((sets, synthetic, "patch sets"), (trained, models, "generators")):
        if len(given) > len(distinct):
            raise SettingsError(
                f"evaluate has several {name} of the same fold and generator seed: give one for each of them."
            )
    places = sorted({*synthetic, *models}, key=_order)
    return [DrawnSet(*place, synthetic.get(place), *models.get(place, (None, None))) for place in places]


def _only(sets: Sequence[SyntheticSets], trained: Sequence[tuple[Path, ModelInfo]]) -> list[DrawnSet]:
    """Return the only set and the only generator together, whatever they record."""
    if not sets and not trained:
        return []
    place = _place_of_patches(sets[0].patches.info.made_by) if sets else _place_of_model(trained[0][1])
    return [DrawnSet(*place, sets[0] if sets else None, *(trained[0] if trained else (None, None)))]


Place = tuple[str, int, int | None]
"""Name of given patches, fold, and seed of the generator."""


def _place_of_patches(made_by: dict[str, Any]) -> Place:
    name = str((made_by.get("given") or {}).get("name", ""))
    return name, int((made_by.get("config") or {}).get("fold", -1)), made_by.get("generator_seed")


def _place_of_model(info: ModelInfo) -> Place:
    return "", int(info.config.get("fold", -1)), info.config.get("seed")


def _order(place: Place) -> tuple[int, str, int]:
    name, fold, seed = place
    return -1 if seed is None else seed, name, fold
