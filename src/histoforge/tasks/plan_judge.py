"""Plan the pipeline `judge`: the sets of synthetic images, their names, and the arms that are trained with them."""

from collections.abc import Mapping, Sequence
from typing import Any

from histoforge.core.errors import SettingsError
from histoforge.core.text import counted
from histoforge.tasks.entrants import check_set, distinct, real_classes
from histoforge.tasks.plan_folds import MOST_GENERATORS, plan_folds


def plan_judge(
    source: str,
    synthetic: Sequence[str],
    rules: Sequence[str],
    *,
    folds: int,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
) -> list[dict[str, str]]:
    """Return the sets to judge, and check as much of them as can be known before a pixel is read.

    Each has `source`, `digest` (of names, sizes and versions of its files), `title` (its name), the name of the arm
    `as_is`, and under the name of each rule that of the arm which is trained with its selection.

    Args:
        source: location of the real slides or images.
        synthetic: locations of synthetic images.
        rules: names of the selection rules.
        folds: number of folds of a cross-validation; 0 leaves it to the preset.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset, or ''.
        overrides: `step.parameter` or `parameter` to value.

    Raises:
        SettingsError: there are no sets or too many, or a setting is wrong.
        SourceError: a set has no images, or classes that do not fit those of the source.
        StorageError: a location does not exist, is empty, or does not answer.
    """
    if not synthetic:
        raise SettingsError("There are no synthetic patches to judge: give at least one location as 'synthetic'.")
    fold_count = len(plan_folds(source, preset, overrides, {"preprocess": {"folds": folds, "seed": seed}}))
    if fold_count * len(synthetic) > MOST_GENERATORS:
        raise SettingsError(
            f"{counted(len(synthetic), 'synthetic sets')} in {counted(fold_count, 'folds')} are "
            f"{fold_count * len(synthetic)} comparisons, and a run takes at most {MOST_GENERATORS}: give fewer "
            "sets, or lower folds."
        )
    classes = real_classes(source, preset, overrides, seed)
    plans: list[dict[str, str]] = []
    for location in synthetic:
        entrant = check_set(str(location), classes, seed=seed, preset=preset, overrides=overrides)
        name = distinct(entrant.name, [plan["title"] for plan in plans])
        arms = {rule: f"{name}_{rule}" for rule in rules}
        plans.append({"source": str(location), "digest": entrant.digest, "title": name, "as_is": name, **arms})
    return plans
