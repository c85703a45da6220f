"""Trained upscalers and their model directories."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from histoforge.autoencoder.architecture import Architecture
from histoforge.autoencoder.network import Autoencoder
from histoforge.core.errors import ModelError, SettingsError
from histoforge.core.text import dimensions
from histoforge.generators.networks import load_weights
from histoforge.generators.pathup.windows import Size
from histoforge.patches.images import Pixels
from histoforge.training.model_files import ModelInfo, load_model
from histoforge.upscaling.bsrgan import Bsrgan
from histoforge.upscaling.config import UpscalerConfig
from histoforge.upscaling.latent_sr import LatentSr, LatentSrNetwork
from histoforge.upscaling.rrdb import RrdbNet

AUTOENCODER = "autoencoder."
"""Prefix of the autoencoder's weights in an upscaler of the method 'latent_sr'."""
SAME_MPP = 0.05


class Upscaler(Protocol):
    """Enlarges images by overlapping windows, which alone determine the memory of the device.

    Attributes:
        info: its description.
        scale: factor by which it enlarges images.
        window: height and width of a window, in steps of `factor`.
        factor: px of the enlarged image per step of a window's position.
        steps: how many times the network processes each window.
    """

    @property
    def info(self) -> ModelInfo: ...

    @property
    def scale(self) -> int: ...

    @property
    def window(self) -> Size: ...

    @property
    def factor(self) -> int: ...

    @property
    def steps(self) -> int: ...

    def upscale(
        self,
        image: Pixels,
        rng: torch.Generator,
        overlap: float = 0.5,
        batch_size: int = 16,
        advance: Callable[[int], None] = lambda windows: None,
    ) -> Pixels:
        """Enlarge an image.

        Args:
            image: uint8 [h, w, 3]; enlarged, each side is a multiple of `factor` and at least a window.
            rng: source of all noise, on the CPU.
            overlap: share of a window that its neighbour covers.
            batch_size: windows at once.
            advance: called with the number of windows after each of the steps.

        Returns:
            uint8 [h scale, w scale, 3].
        """


def load_upscaler(path: Path, device: torch.device, dtype: torch.dtype) -> Upscaler:
    """Load a trained upscaler.

    Args:
        path: the model directory.
        device, dtype: where and at which precision to compute.

    Raises:
        ModelError: the model is missing, damaged or not an upscaler.
    """
    info, state = load_model(path, "upscaler")
    return build_upscaler(info, state, device, dtype)


def build_upscaler(info: ModelInfo, state: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> Upscaler:
    """Return the upscaler of a description and weights; see `load_upscaler`.

    Raises:
        ModelError: the weights do not fit the description.
    """
    config = UpscalerConfig.make({k: v for k, v in info.config.items() if k in UpscalerConfig.model_fields})
    if config.method == "bsrgan":
        rrdb = RrdbNet(config.scale, config.channels, config.blocks, config.growth)
        return Bsrgan(info, config, load_weights(rrdb, state, info, device), device, dtype)
    autoencoder = Autoencoder(Architecture.make(info.config["autoencoder"]))
    coding = {name.removeprefix(AUTOENCODER): t for name, t in state.items() if name.startswith(AUTOENCODER)}
    network_state = {name: t for name, t in state.items() if not name.startswith(AUTOENCODER)}
    network = LatentSrNetwork(config, autoencoder.architecture.latent_channels, autoencoder.factor)
    return LatentSr(
        info,
        config,
        load_weights(network, network_state, info, device),
        load_weights(autoencoder, coding, info, device),
        device,
        dtype,
    )


def check_fits(upscaler: Upscaler, overview: Size, size: Size, mpp: float | None) -> None:
    """Check that an upscaler enlarges overviews to images of a size.

    Args:
        upscaler: the upscaler.
        overview, size: height and width of an overview and of the enlarged image, px.
        mpp: resolution of the enlarged image, um/px, or None where it is unknown.

    Raises:
        SettingsError: the size is not `scale` times that of an overview.
        ModelError: it was trained on larger crops, or at another resolution.
    """
    enlarged = (overview[0] * upscaler.scale, overview[1] * upscaler.scale)
    if size != enlarged:
        raise SettingsError(
            f"The upscaler enlarges overviews of {dimensions(overview)} px by {upscaler.scale}, to "
            f"{dimensions(enlarged)} px, and not to {dimensions(size)} px: choose size={dimensions(enlarged)}, or an "
            "upscaler of another scale."
        )
    window = (upscaler.window[0] * upscaler.factor, upscaler.window[1] * upscaler.factor)
    if any(side < least or side % upscaler.factor for side, least in zip(size, window, strict=True)):
        raise ModelError(
            f"The upscaler was trained on crops of {dimensions(window)} px in steps of {upscaler.factor} px, which do "
            f"not cover images of {dimensions(size)} px: run train_upscaler with another crop or autoencoder."
        )
    trained_at = upscaler.info.mpp
    if trained_at and mpp and abs(trained_at - mpp) > SAME_MPP * trained_at:
        raise ModelError(
            f"The upscaler was trained on images of {trained_at:.3g} um/px, and the generator's patches have {mpp:.3g} "
            "um/px: run train_upscaler on these patches."
        )
