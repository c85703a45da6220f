"""The reconstruction error of an autoencoder: the floor under every error of images drawn through it."""

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import mean_squared_error, structural_similarity

from histoforge.autoencoder.network import Autoencoder
from histoforge.core.settings import Settings
from histoforge.core.timings import spent
from histoforge.metrics.extract import Extractor, extract_features
from histoforge.metrics.frechet import frechet_distance
from histoforge.patches.device import to_uint8, to_unit
from histoforge.training.device import autocast

BATCH = 32
ROUNDING_ERROR = 1 / 12
"""Mean squared error of rounding to whole values; a smaller error counts as this one, a PSNR of 58.9 dB."""


class ReconstructionError(Settings):
    """Distance of reconstructions from their originals.

    Attributes:
        images: number of images.
        psnr: mean peak signal-to-noise ratio of the images, dB.
        ssim: mean structural similarity of the images, up to 1 (Wang et al. 2004).
        fid: FID between originals and reconstructions, or None without an extractor.
        extractor: the extractor whose features the FID uses, or ''.
    """

    images: int
    psnr: float
    ssim: float
    fid: float | None
    extractor: str


@torch.inference_mode()
@spent("compute")
def reconstruct(
    network: Autoencoder, images: NDArray[np.uint8], device: torch.device, dtype: torch.dtype
) -> NDArray[np.uint8]:
    """Return the reconstructions of images, uint8 [N, H, W, 3].

    Args:
        network: on `device`, in evaluation mode.
        images: uint8 [N, H, W, 3].
        device, dtype: where and at which precision to compute.
    """
    restored = np.empty_like(images)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        batch = to_unit(torch.from_numpy(images[rows]).permute(0, 3, 1, 2).to(device))
        with autocast(device, dtype):
            restored[rows] = to_uint8(network.decode(network.encode(batch))).cpu().numpy()
    return restored


def reconstruction_error(
    originals: NDArray[np.uint8],
    restored: NDArray[np.uint8],
    device: torch.device,
    extractor: Extractor | None = None,
) -> ReconstructionError:
    """Measure the error of reconstructions.

    Args:
        originals, restored: uint8 [N, H, W, 3] each, of at least 11 px a side.
        device: that of the extractor.
        extractor: the network whose features the FID uses; None leaves it out.
    """
    pairs = list(zip(originals, restored, strict=True))
    errors = [max(mean_squared_error(*pair), ROUNDING_ERROR) for pair in pairs]
    similarities = [
        structural_similarity(
            *pair, channel_axis=-1, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for pair in pairs
    ]
    fid = None
    if extractor is not None and len(originals) > 1:
        features = (extract_features(extractor, images, device) for images in (originals, restored))
        fid = frechet_distance(*features)
    return ReconstructionError(
        images=len(originals),
        psnr=round(float(np.mean(10 * np.log10(255**2 / np.array(errors)))), 4),
        ssim=round(float(np.mean(similarities)), 5),
        fid=fid,
        extractor="" if extractor is None else extractor.name,
    )
