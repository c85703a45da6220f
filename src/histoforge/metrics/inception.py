"""Inception features as clean-fid defines them, from a weights file that the user names. Nothing is downloaded."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer
from torch import Tensor

from histoforge.core.digests import digest_file
from histoforge.core.errors import ModelError

# SHA-256 of inception-2015-12-05.pt, the TorchScript network that clean-fid and StyleGAN2-ADA use.
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
FILE_NAME = "inception-2015-12-05.pt"


class InceptionExtractor:
    """Inception-v3 pool features [B, 2048] as clean-fid's mode 'clean' (Parmar et al. 2022) computes them.

    clean-fid's own resizer (Pillow, bicubic with anti-aliasing, not rounded) brings patches to 299 x 299 px,
    and clean-fid's own network processes them.
    """

    def __init__(self, weights: Path, device: torch.device | str = "cpu", sha256: str | None = None) -> None:
        """Load the network.

        Args:
            weights: path of the TorchScript file 'inception-2015-12-05.pt', which may have another name.
            sha256: the expected SHA-256 of the file; a TorchScript file is a program, so give it for a file that you
                did not fetch yourself.

        Raises:
            ModelError: the file is missing, has another SHA-256, or is not an Inception network.
        """
        weights = Path(weights).resolve()
        if not weights.is_file():
            raise ModelError(f"There are no Inception weights at {weights}: fetch {FILE_NAME} and give its path.")
        digest = digest_file(weights)
        if sha256 is not None and digest != sha256.lower():
            raise ModelError(
                f"The Inception weights {weights} have SHA-256 {digest}, not {sha256.lower()}: fetch them again."
            )
        is_published = digest == INCEPTION_SHA256
        self.name = "Inception-v3 (clean-fid)" if is_published else f"Inception-v3 (unknown weights {digest[:12]})"
        self._network = _load(weights).to(device)
        self._resize = build_resizer("clean")

    def features(self, images: Tensor) -> Tensor:
        """Compute features float32 [B, 2048] of images float [-1, 1] [B, 3, H, W]."""
        pixels = images.float().add(1.0).mul(127.5).round().clamp(0, 255).permute(0, 2, 3, 1)
        resized = np.stack([self._resize(patch) for patch in pixels.to(torch.uint8).cpu().numpy()])
        batch = torch.from_numpy(resized).permute(0, 3, 1, 2).to(images.device)
        with torch.autocast(images.device.type, enabled=False):
            return self._network(batch)


def inception_extractors(weights: str, sha256: str, device: torch.device) -> list[InceptionExtractor]:
    """Return the Inception extractor, or an empty list if `weights` is ''; a `sha256` of '' is unchecked.

    Raises:
        ModelError: as `InceptionExtractor` does.
    """
    return [InceptionExtractor(Path(weights), device, sha256 or None)] if weights else []


def _load(weights: Path) -> InceptionV3W:
    """Load clean-fid's wrapper, which expects a folder that holds the file under its original name."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE_NAME).symlink_to(weights)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # clean-fid's network is TorchScript
                return InceptionV3W(folder, download=False).eval()
        except (RuntimeError, AttributeError) as error:
            raise ModelError(
                f"{weights} is not the TorchScript Inception network of clean-fid: fetch {FILE_NAME} and give its path."
            ) from error
