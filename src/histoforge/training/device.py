"""Device and precision of training and inference."""

import torch

from histoforge.core.errors import SettingsError


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device of a name; 'auto' is a GPU if there is one, and each of several processes takes its own GPU.

    Raises:
        SettingsError: the device does not exist.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"there is no device '{name}': choose 'auto', 'cpu', 'cuda' or 'cuda:N'.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device '{name}' is a GPU, and this machine has none: use 'auto' or 'cpu'.")
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype of a name; 'auto' is bfloat16 if the processor, CPUs included, supports it, else float32."""
    if name == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def has_bfloat16(device: torch.device) -> bool:
    """Test whether the processor computes bfloat16 matrix products in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return a context in which networks run at `dtype`; float32 leaves them unchanged."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)
