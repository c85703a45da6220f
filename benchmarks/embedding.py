"""Embed a patch set by a ViT-B: an encoder at precision auto against a plain float32 loop over a DataLoader.

    python benchmarks/embedding.py                                       # 128 patches of 224 px, timm's ViT-B/16
    OMP_NUM_THREADS=1 python benchmarks/embedding.py --clock processor    # on a busy machine, without the workers

Both sides have the same random weights and the same pixels, resize them to 224 px and give [N, 768]. The plain loop
reads PNGs with two workers. The encoder's loading is outside the times. The last row embeds the same patch set once
more, which reads the kept embeddings.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
from reading import write
from safetensors.torch import save_file
from timing import CLOCKS, fastest_in_turn, surroundings, table, timed, use_clock
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from histoforge.classifiers.encoders.encoder import Encoder, load_encoder
from histoforge.core.digests import digest_file
from histoforge.core.files import write_json
from histoforge.metrics.embeddings import cache_folder, patch_features
from histoforge.patches import PatchSet
from histoforge.training.device import resolve_device, resolve_precision

SIDE, MEAN, STD = 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLAIN, ENCODER, AGAIN = "float32 loop over a DataLoader", "encoder, precision auto", "encoder, embedded before"


def write_encoder(folder: Path, model: str) -> nn.Module:
    """Write random weights and the file of an encoder, and return the network."""
    network = timm.create_model(model, num_classes=0).eval()
    save_file(network.state_dict(), folder / "weights.safetensors")
    write_json(
        folder / "encoder.json",
        {
            "name": model,
            "architecture": f"timm:{model}",
            "weights": "weights.safetensors",
            "sha256": digest_file(folder / "weights.safetensors"),
            "input_size": SIDE,
            "mean": MEAN,
            "std": STD,
            "pooling": "class_token",
        },
    )
    return network


@torch.inference_mode()
def plain_loop(network: nn.Module, folder: Path, batch_size: int, device: torch.device) -> np.ndarray:
    """Embed a folder of PNGs in float32, [N, D]."""
    steps = [transforms.Resize((SIDE, SIDE)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    loader = DataLoader(ImageFolder(str(folder), transforms.Compose(steps)), batch_size, num_workers=2)
    return np.concatenate([network(images.to(device)).cpu().numpy() for images, _ in loader])


def embed_anew(encoder: Encoder, patches: PatchSet, batch_size: int) -> np.ndarray:
    """Embed a patch set after deleting its kept embeddings."""
    for file in cache_folder().glob("*.npy"):
        file.unlink()
    return patch_features(encoder, patches, encoder.device, batch_size=batch_size)


def main() -> None:
    """Print the times, and how near the embeddings of both sides are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=128)
    parser.add_argument("--size", type=int, default=224, help="side of a patch, px")
    parser.add_argument("--model", default="vit_base_patch16_224")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    use_clock(options.clock)
    device = resolve_device()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["HISTOFORGE_CACHE"] = str(folder / "cache")
        write(folder, options.patches, options.size)
        network = write_encoder(folder, options.model).to(device)
        encoder = load_encoder(str(folder / "encoder.json"), device, resolve_precision("auto", device))
        patches = PatchSet.open(folder / "patches")
        encoder.features(torch.zeros(2, 3, SIDE, SIDE, device=device))
        results = fastest_in_turn(
            {
                PLAIN: lambda: plain_loop(network, folder / "pngs", options.batch_size, device),
                ENCODER: lambda: embed_anew(encoder, patches, options.batch_size),
            },
            options.rounds,
        )
        times = {name: seconds for name, (seconds, _) in results.items()}
        times[AGAIN], _ = timed(lambda: patch_features(encoder, patches, device))
    # the folder is read class by class, the patch set in the order of writing: compare their means
    plain, ours = (results[name][1].mean(0) for name in (PLAIN, ENCODER))
    cosine = float(plain @ ours / np.linalg.norm(plain) / np.linalg.norm(ours))
    title = f"Embedding {options.patches:,} patches of {options.size} px by {options.model}, {options.clock} time"
    print(table(title, "patches", options.patches, times, PLAIN))
    print(f"\nCosine of the mean embeddings of both sides: {cosine:.4f}")
    print(f"\n{surroundings(['torch', 'timm'])}")


if __name__ == "__main__":
    main()
