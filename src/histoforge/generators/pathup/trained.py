"""A trained PathUp model, which draws patches and overviews by removing noise from latents."""

import torch
from torch import Tensor

from histoforge.autoencoder.architecture import Architecture
from histoforge.autoencoder.network import Autoencoder
from histoforge.core.errors import SettingsError
from histoforge.generators.networks import evaluating, load_weights
from histoforge.generators.pathup.conditions import conditions_of, null_condition
from histoforge.generators.pathup.config import PathupConfig
from histoforge.generators.pathup.diffusion import noise_of, noise_schedule
from histoforge.generators.pathup.network import PathupNetwork
from histoforge.training.device import autocast, resolve_precision
from histoforge.training.model_files import ModelInfo

AUTOENCODER = "autoencoder."
"""Prefix of the autoencoder's weights in a generator, which contains all that drawing needs."""


class TrainedPathup:
    """The U-Net and the autoencoder on their device, during or after training.

    Attributes:
        info: its description.
        config: its settings.
        network: the U-Net with its conditions.
        autoencoder: encodes images into latents and decodes them.
        device, dtype: device and precision of the computations.
        window: height and width of the latents of a patch.
        alphas_cumprod: abar_t, float64 [T] on the CPU.
        guidance: scale of classifier-free guidance; see `set_guidance`.
    """

    def __init__(
        self,
        info: ModelInfo,
        config: PathupConfig,
        network: PathupNetwork,
        autoencoder: Autoencoder,
        device: torch.device,
    ) -> None:
        self.info, self.config, self.network, self.autoencoder = info, config, network, autoencoder
        self.device, self.dtype = device, resolve_precision(config.precision, device)
        self.window = latent_window(info.patch_size, autoencoder)
        self.alphas_cumprod = noise_schedule().alphas_cumprod.double()
        self.guidance = config.guidance

    def set_guidance(self, guidance: float) -> None:
        """Choose the scale of classifier-free guidance, at least 1; 1 is the conditional model itself.

        Raises:
            SettingsError: the model was trained with conditions only.
        """
        if guidance != 1 and not self.config.condition_dropout:
            raise SettingsError(
                f"guidance={guidance:g} needs a generator that was also trained without conditions, and this one was "
                "trained with condition_dropout=0: set guidance to 1, or train it with condition_dropout above 0."
            )
        self.guidance = guidance

    @property
    def levels(self) -> int:
        """Number of spatial levels that it draws."""
        return 2 if self.config.spatial_levels == "both" else 1

    def condition(self, labels: Tensor, level: int) -> Tensor:
        """Return the conditions of classes at a level, 0 for patches and 1 for overviews, int64 [B].

        Raises:
            SettingsError: the model was trained without overviews.
        """
        if level >= self.levels:
            raise SettingsError(
                "This generator was trained on patches alone (spatial_levels=patch), and draws no overviews: train it "
                "with spatial_levels=both."
            )
        return conditions_of(labels, level, self.config.alignment)

    @torch.inference_mode()
    def predict_noise(self, noisy: Tensor, times: Tensor, conditions: Tensor) -> Tensor:
        """Predict the noise in latents, with classifier-free guidance if it is not 1 (Ho & Salimans 2022, eq. 6).

        eps = eps(x_t) + guidance (eps(x_t, c) - eps(x_t)), from one call of the network with twice the batch.

        Args:
            noisy: x_t, float32 [B, C, h, w] on `device`.
            times: t, from 0 to T - 1, int64 [B].
            conditions: int64 [B], from `condition`.

        Returns:
            float32 [B, C, h, w] on `device`.
        """
        times, conditions = times.to(self.device), conditions.to(self.device)
        if self.guidance == 1:
            return self._noise(noisy, times, conditions)
        empty = torch.full_like(conditions, null_condition(self.network.classes))
        predictions = self._noise(noisy.repeat(2, 1, 1, 1), times.repeat(2), torch.cat([conditions, empty]))
        conditional, unconditional = predictions.chunk(2)
        return unconditional + self.guidance * (conditional - unconditional)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw patches of the classes `labels`, int64 [B]: float32 [B, 3, H, W] in [-1, 1]."""
        return self.sample_level(labels, 0, rng)

    def sample_level(self, labels: Tensor, level: int, rng: torch.Generator) -> Tensor:
        """Draw images of the classes `labels`, int64 [B], at a level: float32 [B, 3, H, W] in [-1, 1].

        Args:
            labels: the class of each image.
            level: 0 for patches, 1 for overviews.
            rng: source of the noise, on the CPU.

        Raises:
            SettingsError: the model was trained without that level.
        """
        return self._denoise(self._first_noise(len(labels), rng), self.condition(labels, level))

    def _first_noise(self, count: int, rng: torch.Generator) -> Tensor:
        channels = self.autoencoder.architecture.latent_channels
        return torch.randn(count, channels, *self.window, generator=rng).to(self.device)

    @torch.inference_mode()
    def _denoise(self, noisy: Tensor, conditions: Tensor) -> Tensor:
        """Draw images from the first noise by DDIM (eta = 0; Song et al. 2021, eq. 12)."""
        schedule = noise_schedule()
        schedule.set_timesteps(self.config.sampling_steps)
        for time in schedule.timesteps:
            prediction = self.predict_noise(noisy, time.expand(len(noisy)), conditions)
            noisy = schedule.step(prediction, int(time), noisy, return_dict=False)[0]
        with autocast(self.device, self.dtype):
            return self.autoencoder.decode(noisy)

    def _noise(self, noisy: Tensor, times: Tensor, conditions: Tensor) -> Tensor:
        with evaluating(self.network), autocast(self.device, self.dtype):
            prediction, _ = self.network(noisy, times, conditions)
        if self.config.target == "noise":
            return prediction
        return noise_of(prediction, noisy, self.alphas_cumprod.to(self.device)[times])


def latent_window(patch_size: tuple[int, int], autoencoder: Autoencoder) -> tuple[int, int]:
    """Return the height and width of the latents of a patch."""
    return patch_size[0] // autoencoder.factor, patch_size[1] // autoencoder.factor


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device) -> TrainedPathup:
    """Load the generator of a model directory.

    Raises:
        ModelError: its weights do not fit its description.
    """
    config = PathupConfig.make({k: v for k, v in info.config.items() if k in PathupConfig.model_fields})
    autoencoder = Autoencoder(Architecture.make(info.config["autoencoder"]))
    network = PathupNetwork(
        config, len(info.classes), autoencoder.architecture.latent_channels, latent_window(info.patch_size, autoencoder)
    )
    weights = {name.removeprefix(AUTOENCODER): t for name, t in state.items() if name.startswith(AUTOENCODER)}
    network_state = {name: t for name, t in state.items() if not name.startswith(AUTOENCODER)}
    return TrainedPathup(
        info,
        config,
        load_weights(network, network_state, info, device),
        load_weights(autoencoder, weights, info, device),
        device,
    )
