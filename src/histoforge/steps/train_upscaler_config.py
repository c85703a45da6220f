"""Parameters and summary of the step `train_upscaler`."""

from histoforge.core.settings import Settings
from histoforge.upscaling.config import UpscalerConfig
from histoforge.upscaling.error import UpscalingError


class TrainUpscalerConfig(UpscalerConfig):
    """Settings of an upscaler and its training."""


class TrainUpscalerSummary(Settings):
    """The result of training an upscaler.

    Attributes:
        method: the upscaler's method.
        scale: factor by which it enlarges images.
        degradation: how training images were shrunk.
        crop: side of the crops that it was trained on, and of its tiles in the enlarged image, px.
        parameters: number of weights, without an autoencoder's.
        steps: training steps.
        error: on validation images, beside that of bicubic interpolation, by how they were shrunk: 'bicubic', and
            'bsrgan' if it was trained on that.
        reconstruction_psnr: PSNR of the autoencoder's reconstructions of these images, dB, which 'latent_sr' cannot be
            expected to exceed; None for other methods.
        perceptual: name of the perceptual distance, or ''.
        precision, device: numerical precision and device.
        digest: the upscaler's identity.
        warnings: one sentence each.
    """

    method: str
    scale: int
    degradation: str
    crop: int
    parameters: int
    steps: int
    error: dict[str, UpscalingError]
    reconstruction_psnr: float | None
    perceptual: str
    precision: str
    device: str
    digest: str
    warnings: list[str]
