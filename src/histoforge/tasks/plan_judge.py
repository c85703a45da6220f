"""Plan the pipeline `judge`: the sets of synthetic images, their names, and the arms that are trained with them."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from histoforge.core.errors import SettingsError
from histoforge.core.text import counted
from histoforge.steps.table import STEPS, step_config
from histoforge.tasks.plan_folds import MOST_GENERATORS, plan_folds

RESERVED = re.compile(r"baseline|traditional|control.*")
"""Names of arms without synthetic patches."""


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
    classes = _real_classes(source, preset, overrides, seed)
    plans: list[dict[str, str]] = []
    for location in synthetic:
        name, digest = _check(str(location), classes, seed, preset, overrides)
        name = _distinct(name, [plan["title"] for plan in plans])
        arms = {rule: f"{name}_{rule}" for rule in rules}
        plans.append({"source": str(location), "digest": digest, "title": name, "as_is": name, **arms})
    return plans


def _real_classes(source: str, preset: str, overrides: Mapping[str, Any], seed: int) -> list[str]:
    """Return the classes of the real source; empty if only `preprocess` can tell."""
    from histoforge.core.errors import SourceError
    from histoforge.storage import open_location
    from histoforge.tasks.scan_source import source_classes

    cutting: Any = step_config(STEPS["preprocess"], preset, overrides, {"source": source, "seed": seed})
    location = open_location(source)
    try:
        return source_classes(cutting, location, location.source_entries())
    except SourceError:  # `preprocess` will say what is wrong with the source
        return []


def _check(location: str, classes: list[str], seed: int, preset: str, overrides: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name and the digest of a set, after checking its classes."""
    from histoforge.ingest.synthetic import class_labels, outline_synthetic
    from histoforge.storage import digest_of_source, open_location

    config: Any = step_config(STEPS["import_patches"], preset, overrides, {"source": location, "seed": seed})
    opened = open_location(location)
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        stated, theirs = outline_synthetic(opened, config.labels, Path(temporary))
    origin = stated.with_settings(config, location)
    if classes:
        class_labels(theirs, classes, origin.classes, config.ignored, str(opened))
    return origin.name, digest_of_source(opened)


def _distinct(name: str, taken: Sequence[str]) -> str:
    """Return a name that no other set and no arm of real patches has."""
    if RESERVED.fullmatch(name):
        name = f"set_{name}"[:20]
    numbered = (f"{name[:17]}_{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(free for free in numbered if free not in taken)
