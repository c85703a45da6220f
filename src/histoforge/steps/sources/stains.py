"""Stain normalisation of a batch of patches, as the user chose it."""

from collections.abc import Callable

from histoforge.patches.images import Pixels
from histoforge.steps.config.preprocess import PreprocessConfig


def batch_transform(config: PreprocessConfig) -> Callable[[Pixels], Pixels] | None:
    """What is done to each batch, uint8 [n, h, w, 3] to the same; None where nothing is."""
    return None
