"""Encoders so small that a test builds several: their files and weights."""

from pathlib import Path
from typing import Any

import timm
import torch
import yaml
from safetensors.torch import save_file

from histoforge.core.digests import digest_file

VIT = {
    "name": "Tiny",
    "architecture": "timm:test_vit",
    "arguments": {"img_size": 32, "reg_tokens": 2},
    "input_size": 32,
    "mean": [0.7, 0.6, 0.7],
    "std": [0.2, 0.25, 0.2],
    "pooling": "class_token",
}


def published_vit(seed: int = 0) -> Any:
    """Return a vision transformer of timm with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    return timm.create_model("test_vit", num_classes=3, img_size=32, reg_tokens=2).eval()


def write_encoder(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """Write the weights of `published_vit` and the file of an encoder beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(published_vit(seed).state_dict(), folder / "weights.safetensors")
    description = {
        **VIT,
        "weights": "weights.safetensors",
        "sha256": digest_file(folder / "weights.safetensors"),
        **changes,
    }
    described = {name: value for name, value in description.items() if value is not None}
    (folder / "encoder.yaml").write_text(yaml.safe_dump(described))
    return folder / "encoder.yaml"
