"""How slides are cut into patches for a classifier: as the patches that it was trained on."""

from dataclasses import dataclass
from typing import Literal, cast

from histoforge.core.errors import ModelError, SettingsError
from histoforge.training.model_files import ModelInfo

Stain = Literal["none", "macenko", "reinhard"]
SAME_MPP = 0.05


@dataclass(frozen=True)
class Cutting:
    """Settings for cutting slides.

    Attributes:
        patch_size: height and width of a patch, px.
        mpp: resolution of the patches, um/px.
        stain: stain normalisation.
        stride: distance between patches, px of the patches; 0 for the patch size.
        min_tissue: minimum fraction of tissue in a patch, in [0, 1].
    """

    patch_size: tuple[int, int]
    mpp: float
    stain: Stain
    stride: int
    min_tissue: float


def cutting_of(
    info: ModelInfo,
    *,
    mpp: float,
    stain: Literal["model", "none", "macenko", "reinhard"],
    stride: int,
    min_tissue: float,
) -> Cutting:
    """Return how slides are cut for a classifier.

    Args:
        info: the classifier's description.
        mpp: resolution of its training patches if it does not record it, um/px; 0 for the recorded one.
        stain: stain normalisation of its training patches if it does not record it; 'model' for the recorded one.
        stride, min_tissue: as in `Cutting`.

    Raises:
        ModelError: the classifier does not record what is not given.
        SettingsError: what is given differs from what the classifier records.
    """
    if info.mpp and mpp and abs(mpp / info.mpp - 1) > SAME_MPP:
        raise SettingsError(
            f"predict: the classifier was trained on patches of {info.mpp:.3g} um/px, and mpp={mpp:g} was given: leave "
            "'mpp' out."
        )
    if not (info.mpp or mpp):
        raise ModelError("The classifier was trained on patches of unknown or mixed resolution: give 'mpp', in um/px.")
    recorded = str(info.training.get("stain", ""))
    if recorded and stain not in ("model", recorded):
        raise SettingsError(
            f"predict: the classifier was trained on patches with the stain normalisation '{recorded}', and "
            f"stain={stain} was given: leave 'stain' out."
        )
    if stain == "model" and recorded not in ("none", "macenko", "reinhard"):
        raise ModelError(
            "The classifier does not record the stain normalisation of its patches: give 'stain' (none, macenko or "
            "reinhard)."
        )
    chosen = cast(Stain, recorded) if stain == "model" else stain
    return Cutting(info.patch_size, info.mpp or mpp, chosen, stride, min_tissue)
