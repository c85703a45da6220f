"""Which device and which precision training and inference use."""

import torch

from histoforge.core.errors import SettingsError


def resolve_device(name: str = "auto") -> torch.device:
    """'auto' is a GPU where there is one; several processes take one GPU each.

    Raises:
        SettingsError: the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"device '{name}' is not a device: choose 'auto', 'cpu', 'cuda' or 'cuda:N'.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device '{name}' asks for a GPU, and there is none here: use 'auto' or 'cpu'.")
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """'auto' is bfloat16 wherever the processor has it, CPUs included, and else float32."""
    if name == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def has_bfloat16(device: torch.device) -> bool:
    """Whether the processor computes bfloat16 matrix products in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A context in which networks run at `dtype`; float32 leaves them as they are."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)
