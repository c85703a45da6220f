"""An encoder with its weights, as an extractor for metrics, selection and retrieval."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from histoforge.classifiers.backbones.base import rgb_scaling
from histoforge.classifiers.encoders.description import EncoderArchitecture, EncoderDescription, read_description
from histoforge.classifiers.encoders.network import FrozenEncoder
from histoforge.classifiers.weights import load_backbone, read_weights
from histoforge.core.errors import SettingsError
from histoforge.patches import PatchSet
from histoforge.training.device import autocast

ADVICE = "state the architecture and the arguments that they belong to in the encoder's file"


class Encoder:
    """A frozen network whose embeddings are a space of metrics, of selection and of retrieval.

    Attributes:
        description: what identifies it.
        device, dtype: device and precision of its computations.
    """

    def __init__(
        self, description: EncoderArchitecture, network: FrozenEncoder, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.description, self.device, self.dtype = description, device, dtype
        self._network = network.to(device).eval()
        scale, shift = rgb_scaling(description.mean, description.std)
        self._scale, self._shift = scale.to(device), shift.to(device)

    @property
    def name(self) -> str:
        """Its name in results, with the first digits of its digest and, where it is not float32, its precision."""
        precision = "" if self.dtype == torch.float32 else f" in {str(self.dtype).removeprefix('torch.')}"
        return f"{self.description.name} {self.description.digest[:8]}{precision}"

    @property
    def digest(self) -> str:
        """SHA-256 over its description, which has the SHA-256 of the weights."""
        return self.description.digest

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        """Compute embeddings, float32 [B, D], of images float [-1, 1] [B, 3, H, W].

        Images of another size than `input_size` are resized to it (bilinear, with anti-aliasing).
        """
        side = self.description.input_size
        if images.shape[2:] != (side, side):
            images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        with autocast(self.device, self.dtype):
            hidden = self._network.trunk(images * self._scale + self._shift, "stages").hidden
        return self._network.tail(hidden)[1]

    def embed(self, images: Tensor) -> Tensor:
        """Compute embeddings of length 1, float32 [B, D], in whose cosines `histoforge similar` searches."""
        return F.normalize(self.features(images.to(self.device)), dim=1)

    def check_patches(self, patches: PatchSet, where: str) -> None:
        """Accept patches of any class and size."""


def load_encoder(source: str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Encoder:
    """Load the encoder that a file describes.

    Args:
        source: path, or s3:// or minio:// address, of the encoder's file.
        device, dtype: device and precision of its computations.

    Raises:
        ModelError: the file or the weights are missing or damaged, have another SHA-256, or do not belong together.
        SettingsError: the architecture does not exist, or cannot process its input size.
    """
    return open_encoder(read_description(source), torch.device(device), dtype)


def open_encoder(description: EncoderDescription, device: torch.device, dtype: torch.dtype) -> Encoder:
    """Load the encoder of a description; see `load_encoder`."""
    network = FrozenEncoder(description)
    weights, _ = read_weights(description.weights, description.sha256)
    load_backbone(network, weights, description.weights, ADVICE)
    return Encoder(description, network, device, dtype)


def load_encoders(sources: Sequence[str], device: torch.device, dtype: torch.dtype) -> list[Encoder]:
    """Load several encoders; see `load_encoder`.

    Raises:
        SettingsError: two of them are the same.
    """
    encoders = [load_encoder(source, device, dtype) for source in sources]
    if len({encoder.digest for encoder in encoders}) < len(encoders):
        raise SettingsError("Two encoders are the same: give each of them once.")
    return encoders
