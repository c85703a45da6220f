"""The conditions of PathUp: class x spatial level, and the empty one (A3-2)."""

from torch import Tensor

from histoforge.generators.pathup.config import LEVELS, Alignment


def condition_count(classes: int) -> int:
    """Return the number of conditions without the empty one, K in eq. 3: 14 for the paper's seven classes."""
    return classes * len(LEVELS)


def null_condition(classes: int) -> int:
    """Return the index of the empty condition, which follows the others."""
    return condition_count(classes)


def conditions_of(labels: Tensor, levels: Tensor | int, alignment: Alignment) -> Tensor:
    """Return the condition of each image, label x 2 + level, int64 [B].

    Without alignment, all levels of a class have the condition of its patches.

    Args:
        labels: int64 [B].
        levels: 0 for patches and 1 for overviews, int64 [B] or one for all.
        alignment: the variant of the method.
    """
    return labels * len(LEVELS) + (0 if alignment == "none" else levels)
