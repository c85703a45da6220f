"""Initial weights of a network, from a file that the user names; nothing is downloaded automatically."""

import pickle
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from histoforge.classifiers.backbones.base import Backbone
from histoforge.core.digests import digest_file
from histoforge.core.errors import ModelError
from histoforge.metrics import lpips
from histoforge.storage import open_location
from histoforge.training.tensors import explained_reading, first_mismatch


def read_weights(source: str, sha256: str = "") -> tuple[dict[str, Tensor], str]:
    """Read the tensors of a file, on the CPU, and the file's SHA-256.

    Args:
        source: a path or an s3:// or minio:// address of a .safetensors file or of a .pth/.pt file with a plain
            `state_dict` (read with weights_only, so that it cannot run code).
        sha256: the file's SHA-256, 64 hexadecimal digits; '' leaves it unchecked.

    Raises:
        ModelError: the file is missing, has another format, or has another SHA-256.
    """
    if "://" not in source:
        return _read_file(Path(source), sha256)
    parent, _, name = source.rpartition("/")
    with tempfile.TemporaryDirectory() as folder, open_location(f"{parent}/").fetched(name, Path(folder)) as file:
        return _read_file(file, sha256)


def load_backbone(
    backbone: Backbone,
    weights: dict[str, Tensor],
    source: str,
    advice: str = "choose the backbone that they belong to, with width=1 and stem=imagenet for torchvision's",
) -> None:
    """Load published weights into a backbone; those of their classification layer are ignored.

    Args:
        backbone: the network.
        weights: its published weights.
        source: name of the weights in messages.
        advice: what the user can do if they do not fit.

    Raises:
        ModelError: a tensor is missing or has another shape (another backbone, width or stem); the message names it.
    """
    weights = backbone.adapt_weights(weights)
    state = backbone.state_dict()
    required = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    if problem := first_mismatch(required, weights):
        raise ModelError(f"The weights {source} do not fit the backbone ({problem}): {advice}.")
    backbone.load_state_dict({name: weights.get(name, tensor) for name, tensor in state.items()})


def read_lpips(
    source: str, sha256: str, patch_size: tuple[int, int], device: torch.device
) -> lpips.LpipsDistance | None:
    """Read the weights of LPIPS for patches of a size, (height, width) in px; None if `source` is ''.

    Raises:
        ModelError: the weights cannot be read or do not fit, or the patches are too small.
    """
    if not source:
        return None
    lpips.check_size(patch_size)
    weights, digest = read_weights(source, sha256)
    return lpips.LpipsDistance(weights, digest, source, device)


def _read_file(path: Path, sha256: str) -> tuple[dict[str, Tensor], str]:
    if not path.is_file():
        raise ModelError(f"There is no weights file {path}: give the path of a .safetensors or .pth file.")
    digest = digest_file(path)
    if sha256 and digest != sha256.lower():
        raise ModelError(f"The weights file {path} has the SHA-256 {digest}, not {sha256}: fetch it again.")
    try:
        if path.suffix == ".safetensors":
            advice = "give a .safetensors file or a .pth file with a state_dict"
            with explained_reading(path, ModelError, advice):
                return load_file(path), digest
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's text is a page long and tells how to run the file's code
        raise _unreadable(path, "it contains more than tensors") from None
    except Exception as error:  # a damaged file makes torch raise anything, such as struct.error
        raise _unreadable(path, str(error).split("\n", 1)[0].rstrip(".")) from None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise _unreadable(path, "it is not a plain state_dict")
    return state, digest


def _unreadable(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"The weights file {path} cannot be read ({reason}): give a .safetensors file or a .pth file with a state_dict."
    )
