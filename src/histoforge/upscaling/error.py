"""The error of an upscaler; imports nothing heavy."""

from histoforge.core.settings import Settings


class UpscalingError(Settings):
    """Distance of enlarged images from their originals.

    Attributes:
        images: number of images.
        psnr, ssim: mean peak signal-to-noise ratio, dB, and structural similarity, up to 1, of the upscaler.
        bicubic_psnr, bicubic_ssim: those of bicubic interpolation of the same shrunken images.
    """

    images: int
    psnr: float
    ssim: float
    bicubic_psnr: float
    bicubic_ssim: float
