"""The error of an upscaler on held-out images, beside that of bicubic interpolation."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from histoforge.autoencoder.reconstruction import reconstruction_error
from histoforge.core.progress import Progress
from histoforge.patches.device import to_uint8, to_unit
from histoforge.patches.images import Pixels
from histoforge.upscaling.error import UpscalingError
from histoforge.upscaling.pairs import DEGRADATIONS
from histoforge.upscaling.trained import Upscaler


@dataclass(frozen=True)
class Upscaled:
    """Originals, and what was made of their shrunken versions, uint8 [N, H, W, 3] each."""

    originals: NDArray[np.uint8]
    bicubic: NDArray[np.uint8]
    upscaled: NDArray[np.uint8]

    def error(self) -> UpscalingError:
        """Measure the errors of both."""
        device = torch.device("cpu")
        by_upscaler, by_bicubic = (
            reconstruction_error(self.originals, enlarged, device) for enlarged in (self.upscaled, self.bicubic)
        )
        return UpscalingError(
            images=len(self.originals),
            psnr=by_upscaler.psnr,
            ssim=by_upscaler.ssim,
            bicubic_psnr=by_bicubic.psnr,
            bicubic_ssim=by_bicubic.ssim,
        )


def upscale_shrunken(
    upscaler: Upscaler, originals: NDArray[np.uint8], degradation: str, rng: torch.Generator
) -> Upscaled:
    """Shrink images, and enlarge them again by the upscaler and by bicubic interpolation.

    Args:
        upscaler: the upscaler.
        originals: uint8 [N, H, W, 3]; H and W are multiples of its scale.
        degradation: how they are shrunk, a key of `DEGRADATIONS`.
        rng: source of all random choices, on the CPU.
    """
    upscaled, bicubic = np.empty_like(originals), np.empty_like(originals)
    with Progress("comparing", len(originals), "images") as progress:
        for index, original in enumerate(originals):
            batch = to_unit(torch.from_numpy(original).permute(2, 0, 1)[None])
            small = to_uint8(DEGRADATIONS[degradation](batch, upscaler.scale, rng))[0].numpy()
            upscaled[index] = upscaler.upscale(small, rng)
            bicubic[index] = enlarged_bicubic(small, upscaler.scale)
            progress.advance(1)
    return Upscaled(originals, bicubic, upscaled)


def enlarged_bicubic(image: Pixels, scale: int) -> Pixels:
    """Enlarge an image, uint8 [h, w, 3], by bicubic interpolation."""
    height, width = image.shape[0] * scale, image.shape[1] * scale
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
