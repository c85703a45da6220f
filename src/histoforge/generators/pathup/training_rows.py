"""The latents that PathUp trains on: both levels alike, and every class at each level."""

import numpy as np
from numpy.typing import NDArray

from histoforge.autoencoder.latents import LatentSet
from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.core.seeds import numpy_rng
from histoforge.generators.pathup.config import LEVELS, PathupConfig


def training_rows(config: PathupConfig, latents: LatentSet) -> NDArray[np.int64]:
    """Return the rows of a pass over the training latents, int64 [N].

    There are fewer overviews than patches, so overviews are repeated until both levels are about as frequent. The paper
    does not say how it mixes them.

    Raises:
        PatchSetError: there are no overviews, or a class has no latents at a level.
        SettingsError: flips are to be drawn, and none were encoded.
    """
    if config.flips and latents.latents.shape[1] == 1:
        raise SettingsError(
            "flips=true needs latents of flipped images: run train_autoencoder with flips=true, or set flips=false."
        )
    train = latents.rows("train")
    patches, overviews = (train[latents.levels[train] == level] for level in range(len(LEVELS)))
    if config.max_patches and config.max_patches < len(patches):
        chosen = numpy_rng(config.seed, "pathup patches").choice(len(patches), config.max_patches, replace=False)
        patches = patches[np.sort(chosen)]
    _check_classes(latents, patches, "patches")
    if config.spatial_levels == "patch":
        return patches
    if not len(overviews):
        raise PatchSetError(
            "The latents contain no overviews, the second level of spatial_levels=both: give train_autoencoder the "
            "overviews, or set spatial_levels=patch."
        )
    _check_classes(latents, overviews, "overviews")
    return np.concatenate([patches, np.tile(overviews, max(1, round(len(patches) / len(overviews))))])


def _check_classes(latents: LatentSet, rows: NDArray[np.int64], level: str) -> None:
    counts = np.bincount(latents.labels[rows], minlength=len(latents.info.classes))
    if not counts.all():
        name = latents.info.classes[int(np.argmin(counts))]
        advice = "add some" if level == "patches" else "add some, or set spatial_levels=patch"
        raise PatchSetError(f"The class '{name}' has no training {level}, and so no condition to learn: {advice}.")
