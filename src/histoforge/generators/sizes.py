"""Sizes near a patch size that a method cannot draw."""

import math

from histoforge.core.text import dimensions


def nearest_multiples(patch_size: tuple[int, int], multiple: int) -> str:
    """Return the next smaller and larger sizes whose sides are multiples of a number, such as '32x64 or 64x64'."""
    lower, upper = (
        [max(rounded(side / multiple), 1) * multiple for side in patch_size] for rounded in (math.floor, math.ceil)
    )
    return " or ".join(dict.fromkeys(dimensions(size) for size in (lower, upper)))
