"""Reasons to trust the scores of a generator less."""

from collections.abc import Sequence

from histoforge.classifiers.network import Classifier
from histoforge.evaluation.generator_scores import Drawing
from histoforge.patches import PatchSet


def score_warnings(
    count: int,
    train: PatchSet,
    held_out: PatchSet | None,
    classifiers: Sequence[Classifier],
    drawing: Drawing,
) -> list[str]:
    """Return the reasons to trust the scores of a generator less.

    Args:
        count: the number of patches that were to be compared.
        train, held_out: the real patches; None without validation patches.
        classifiers: those that judge.
        drawing: what was drawn.
    """
    warnings = []
    if len(train) < count:
        warnings.append(
            f"There are {len(train):,} training patches, fewer than count ({count:,}): generative metrics "
            f"compare {len(train):,} synthetic with {len(train):,} real patches."
        )
    if len(classifiers) < 2:
        warnings.append(
            "The extractor has no second seed and no judge of another architecture: the classifier that may have "
            "chosen the generator's epoch also scores it, so its scores are too good."
        )
    if held_out is None:
        warnings.append("There are no validation patches, so there is no memorisation audit.")
    empty = [name for name, drawn in drawing.by_class.items() if not drawn]
    if empty:
        warnings.append(f"No patches of {', '.join(empty)} were drawn, because the training split has none.")
    return warnings
