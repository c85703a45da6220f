"""Plan the folds of a cross-validation, and the generators and arms that are trained in each of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from histoforge.core.errors import SettingsError
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS
from histoforge.tasks.plan_study import plan_real_arms

MOST_GENERATORS, MOST_FOLDS = 20, 16
"""Kubeflow passes the names and metadata of everything that loops collected as one argument, which Linux limits to 128
KiB. An artifact takes about 1 KiB; a fold has 4 arms of real patches, a generator comes with its pool and an arm."""


def plan_folds(
    source: str, preset: str, overrides: Mapping[str, Any], given: Mapping[str, Mapping[str, Any] | bool]
) -> list[dict[str, int]]:
    """Return the folds to train on, each with `fold`: -1 alone if there is a single split.

    Args:
        source: location of the slides or images.
        preset: name of a preset, or ''.
        overrides: `step.parameter` or `parameter` to value.
        given: settings of the pipeline itself, by step.
    """
    values = {**_given(given, "preprocess"), "source": source}
    cutting: Any = step_config(STEPS["preprocess"], preset, overrides, values)
    return [{"fold": fold} for fold in range(cutting.folds)] or [{"fold": -1}]


def plan_generators(
    count: int,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
    given: Mapping[str, Mapping[str, Any] | bool],
    folds: int,
) -> list[dict[str, int]]:
    """Return the generators to train in each fold, each with `seed`: seed, seed + 1, …

    Args:
        count: number of generators.
        seed: the first seed; -1 leaves it to the preset and the overrides.
        preset, overrides, given: as for `plan_folds`.
        folds: number of folds.

    Raises:
        SettingsError: there are none or too many, or the overrides fix the seed of several.
    """
    if count < 1:
        raise SettingsError(f"'generator_seeds' is {count}: give at least 1.")
    if folds > MOST_FOLDS:
        raise SettingsError(f"There are {folds} folds, and a run takes at most {MOST_FOLDS}: lower folds.")
    if count * folds > MOST_GENERATORS:
        raise SettingsError(
            f"{folds} folds with generator_seeds={count} are {folds * count} generators, and a run takes at most "
            f"{MOST_GENERATORS}: lower folds or generator_seeds."
        )
    if given.get("train_generator") is False:
        return [{"seed": -1}]
    fixed = _given(given, "train_generator")
    first = step_config(STEPS["train_generator"], preset, overrides, {**fixed, "seed": seed}).seed
    for number in range(1, count):
        step_config(STEPS["train_generator"], preset, overrides, {**fixed, "seed": first + number})
    return [{"seed": first + number} for number in range(count)]


def plan_controls(
    doses: Sequence[float], preset: str, overrides: Mapping[str, Any], given: Mapping[str, Mapping[str, Any] | bool]
) -> list[dict[str, Any]]:
    """Return the arms of real patches to train in each fold; see `plan_study.plan_real_arms`.

    Args:
        doses: numbers of held-back patches, as multiples of the number of synthetic ones.
        preset, overrides, given: as for `plan_folds`.
    """
    values = {**_given(given, "preprocess"), "source": "source"}
    cutting: Any = step_config(STEPS["preprocess"], preset, overrides, values)
    selecting: Any = step_config(STEPS["select_samples"], preset, overrides, _given(given, "select_samples"))
    return plan_real_arms(doses, cutting.control_share, selecting.ratio)


def _given(given: Mapping[str, Mapping[str, Any] | bool], step: str) -> Mapping[str, Any]:
    values = given.get(step)
    return values if isinstance(values, Mapping) else {}
