"""The extractors that were not trained on any patches: a second view beside classifiers of the same tissue."""

import numpy as np
from numpy.typing import NDArray

from histoforge.metrics.extract import Extractor
from histoforge.metrics.pixel_statistics import PixelStatistics
from histoforge.metrics.random_features import RandomFeatures
from histoforge.patches.patchset import PatchSet

UNTRAINED = (PixelStatistics.name, RandomFeatures.name)
"""Names of these extractors."""


def untrained_extractors(real: PatchSet | NDArray[np.uint8]) -> list[Extractor]:
    """Return pixel statistics, scaled by the deviations of real patches, and random convolutions."""
    return [PixelStatistics(real), RandomFeatures()]
