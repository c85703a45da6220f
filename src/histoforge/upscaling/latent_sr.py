"""Super-resolution by latent diffusion (Rombach et al. 2022, section 4.4)."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from histoforge.autoencoder.network import Autoencoder
from histoforge.generators.networks import to_device
from histoforge.generators.pathup.config import TIMESTEPS
from histoforge.generators.pathup.diffusion import add_noise, noise_of, noise_schedule, reconstruction_loss
from histoforge.generators.pathup.solvers import make_solver, solver_times
from histoforge.generators.pathup.tiled import decode_tiled
from histoforge.generators.pathup.windows import Corner, crop, merge_windows, pixel_overlap, weight_map, window_corners
from histoforge.layers.group_norm import use_float32_group_norm
from histoforge.patches.device import to_unit
from histoforge.patches.images import Pixels
from histoforge.training.device import autocast
from histoforge.training.ema import EMA
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo
from histoforge.training.processes import uniform
from histoforge.upscaling.config import UpscalerConfig
from histoforge.upscaling.pairs import CropPairs

CLIP_NORM = 1.0


class LatentSrNetwork(nn.Module):
    """A U-Net that predicts the noise in the latents of an image, or the clean latents, given the shrunken image.

    The shrunken image is concatenated with the latents (Rombach et al. 2022, section 4.4: tau is the identity). It has
    their size if the autoencoder's factor is the scale. If it is larger, its pixels are moved into channels, and if it
    is smaller, it is enlarged.
    """

    def __init__(self, config: UpscalerConfig, latent_channels: int, factor: int) -> None:
        super().__init__()
        self.scale, self.factor = config.scale, factor
        ratio = max(1, factor // config.scale)
        widths = [config.channels * min(2**level, 4) for level in range(config.levels)]
        self.unet = UNet2DModel(
            sample_size=None,
            in_channels=latent_channels + 3 * ratio**2,
            out_channels=latent_channels,
            block_out_channels=widths,
            layers_per_block=config.level_blocks,
            down_block_types=["DownBlock2D"] * (config.levels - 1) + ["AttnDownBlock2D"],
            up_block_types=["AttnUpBlock2D"] + ["UpBlock2D"] * (config.levels - 1),
            attention_head_dim=min(32, config.channels),
            norm_num_groups=min(32, config.channels // 4),
        )
        use_float32_group_norm(self.unet)

    def condition(self, small: Tensor) -> Tensor:
        """Return what is concatenated with the latents, float32 [B, C', h, w], of images [B, 3, H / s, W / s]."""
        if self.factor > self.scale:
            return F.pixel_unshuffle(small, self.factor // self.scale)
        return F.interpolate(small, scale_factor=self.scale // self.factor, mode="bicubic", antialias=True)

    def forward(self, given: Tensor, times: Tensor) -> Tensor:
        """Predict the noise in latents or the clean latents, float32 [B, C, h, w].

        Args:
            given: noisy latents and their condition, float [B, C + C', h, w].
            times: int64 [B].
        """
        prediction: Tensor = self.unet(given, times, return_dict=False)[0]
        return prediction.float()


def train_latent_sr(
    config: UpscalerConfig, pairs: CropPairs, engine: Engine, autoencoder: Autoencoder
) -> LatentSrNetwork:
    """Train the U-Net on latents of crops (Rombach et al. 2022, eq. 3), and return the average of its weights.

    Args:
        config: the settings.
        pairs: the training data.
        engine: the engine of this training; if it has a checkpoint, training resumes from there.
        autoencoder: encodes the crops; on the engine's device, without gradients.

    Raises:
        TrainingError: the loss is not finite; the last good checkpoint is kept.
    """
    channels = autoencoder.architecture.latent_channels
    network = to_device(LatentSrNetwork(config, channels, autoencoder.factor), engine)
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate, fused=True)
    ema = EMA(network, config.ema_decay)
    engine.track(network=network, optimizer=optimizer, ema=ema)
    abar = noise_schedule().alphas_cumprod.to(engine.device)
    for small, large in engine.batches(pairs, config.batch_size, config.epochs, config.epoch_steps):
        with engine.autocast(), torch.no_grad():
            clean = autoencoder.encode(large)
        noise = engine.normal(config.batch_size, *clean.shape[1:])
        times = (uniform(len(clean), rng=engine.rng) * TIMESTEPS).long()
        signal = abar[times]
        with engine.autocast():
            noisy = add_noise(clean, noise, signal)
            prediction = network(torch.cat([noisy, network.condition(small)], 1), times)
        loss = reconstruction_loss(prediction, clean, noise, signal, config.target)
        engine.step(optimizer, loss, clip_norm=CLIP_NORM)
        ema.update(network)
        engine.end_of_step(reconstruction=loss)
    return cast(LatentSrNetwork, ema.module)


class LatentSr:
    """A trained U-Net with its autoencoder; see `Upscaler`."""

    def __init__(
        self,
        info: ModelInfo,
        config: UpscalerConfig,
        network: LatentSrNetwork,
        autoencoder: Autoencoder,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.info, self.scale, self.factor, self.steps = info, config.scale, autoencoder.factor, config.sampling_steps
        self.window, self._target = (config.crop // self.factor,) * 2, config.target
        self._network, self._autoencoder, self._device, self._dtype = network, autoencoder, device, dtype
        self._alphas_cumprod = noise_schedule().alphas_cumprod.double()

    @torch.inference_mode()
    def upscale(
        self,
        image: Pixels,
        rng: torch.Generator,
        overlap: float = 0.5,
        batch_size: int = 16,
        advance: Callable[[int], None] = lambda windows: None,
    ) -> Pixels:
        """Enlarge an image by DDIM (eta = 0).

        The noise that windows predict is merged in each step, so that they agree where they overlap, as in PathUp.
        """
        decode, shared = self._autoencoder.decode, pixel_overlap(overlap, self.window)
        condition = self._network.condition(to_unit(torch.from_numpy(image).permute(2, 0, 1)[None]))[0]
        shape = (self._autoencoder.architecture.latent_channels, *condition.shape[1:])
        corners, weights = window_corners(shape[1:], self.window, shared), weight_map("paper", self.window)
        solver = make_solver("ddim", self._alphas_cumprod, self.steps)
        noisy = torch.randn(shape, generator=rng)
        with autocast(self._device, self._dtype):
            for time in solver_times(solver).tolist():
                given = torch.cat([noisy, condition])

                def predicted(batch: Sequence[Corner], given: Tensor = given, time: int = time) -> Tensor:
                    windows = torch.stack([crop(given, corner, self.window) for corner in batch]).to(self._device)
                    return self._network(windows, torch.full((len(batch),), time, device=self._device))

                noise = merge_windows(predicted, corners, shape, weights, batch_size)
                if self._target == "image":
                    noise = noise_of(noise[None], noisy[None], self._alphas_cumprod[[time]])[0]
                noisy = solver.step(noise, time, noisy, return_dict=False)[0]
                advance(len(corners))
            return decode_tiled(
                lambda windows: decode(windows.to(self._device)), noisy, self.window, shared, self.factor, batch_size
            )
