"""Feature extraction in one pass over the patches; every generative metric is then computed from the features."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.core.errors import ModelError, PatchSetError
from histoforge.core.progress import Progress
from histoforge.core.timings import spent
from histoforge.patches.blocks import Images, read_batches

Precision = Literal["float32", "bfloat16"]


class Extractor(Protocol):
    """The network whose features a metric uses; its name appears in the result."""

    @property
    def name(self) -> str:
        """The extractor's name in results, such as 'resnet34 (baseline, seed 0)'."""

    def features(self, images: Tensor) -> Tensor:
        """Compute features [B, D] of images float [-1, 1] [B, 3, H, W]."""


@dataclass(frozen=True)
class NamedExtractor:
    """A named function from images float [-1, 1] [B, 3, H, W] to features [B, D].

    >>> NamedExtractor("resnet34 (baseline, seed 1)", classifier.features)
    """

    name: str
    function: Callable[[Tensor], Tensor]

    def features(self, images: Tensor) -> Tensor:
        """Compute features [B, D] of images float [-1, 1] [B, 3, H, W]."""
        return self.function(images)


def extract_features(
    extractor: Extractor,
    patches: Images,
    device: torch.device | str = "cpu",
    *,
    batch_size: int = 128,
    precision: Precision = "float32",
    label: str = "features",
) -> NDArray[np.float32]:
    """Extract the features of all patches, in their order.

    The default precision is float32 instead of the engine's bfloat16, because Frechet distances are compared between
    runs and machines, and not all machines have bfloat16.

    Args:
        extractor: in evaluation mode, on `device`.
        patches: a patch set, or uint8 [N, H, W, 3].
        precision: 'bfloat16' runs the extractor under autocast.
        label: text of the progress line.

    Returns:
        float32 [N, D].

    Raises:
        PatchSetError: there are no patches.
        ModelError: the extractor does not return a matrix, or returns features that are not finite.
    """
    device = torch.device(device)
    if not len(patches):
        raise PatchSetError(f"There are no patches to compute {label}: give a patch set that is not empty.")
    matrix = np.empty((0, 0), np.float32)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
    with torch.inference_mode(), autocast, Progress(label, len(patches), "patches") as progress:
        for rows, images in read_batches(patches, batch_size, device):
            with spent("compute", patches=len(images)):
                features = extractor.features(images)
            if features.ndim != 2 or not bool(torch.isfinite(features).all()):
                raise ModelError(
                    f"The extractor '{extractor.name}' gave features {tuple(features.shape)} that are not finite "
                    "[N, D]: train or choose another extractor."
                )
            if rows.start == 0:
                matrix = np.empty((len(patches), features.shape[1]), np.float32)
            with spent("transfer", patches=len(images)):
                matrix[rows] = features.float().cpu().numpy()
            progress.advance(len(images))
    return matrix
