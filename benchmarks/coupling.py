"""Measure how much of the gradient of a HistoGAN critic's scores belongs to other patches than the scored one.

    python benchmarks/coupling.py --patches prep/patches      # of guide_share.py

Trains quickstart's HistoGAN and prints, for each stage's critic, the share of the squared gradient of all scores, for
16 points of the gradient penalty, that belongs to other patches. Minibatch discrimination causes it; the gradient
penalty excludes it.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

from histoforge.core.settings import load_preset
from histoforge.generators.histogan import train as histogan
from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.loss import at_each_stage
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo

POINTS = 16


class KeptNetworks(histogan._Networks):
    """The training's networks, kept for use after the training."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        KeptNetworks.last = self


def trained(config: HistoganConfig, data: PatchSet) -> KeptNetworks:
    """Train with the method's own function and return the networks."""
    histogan._Networks = KeptNetworks
    info = ModelInfo(
        kind="generator",
        method="histogan",
        config=config.model_dump(),
        classes=data.classes,
        patch_size=data.patch_size,
    )
    with tempfile.TemporaryDirectory() as work:
        histogan.train(config, data, Engine(Path(work), {}, device="cpu", label="histogan"), None, info)
    return KeptNetworks.last


def coupled(networks: KeptNetworks, data: PatchSet, z_dim: int) -> list[float]:
    """Return the share for each stage."""
    rows = torch.arange(0, len(data), len(data) // POINTS)[:POINTS]
    batch = DevicePatches.load(data, "cpu").batch(rows)
    fakes = networks.generator(torch.randn(POINTS, z_dim), batch.labels)
    levels, shares = at_each_stage(batch.images, networks.geometry.stages), []
    for critic, real, fake in zip(networks.critics.eval(), levels, fakes, strict=True):
        points = torch.lerp(fake.detach(), real, torch.rand(POINTS, 1, 1, 1))
        jacobian = torch.autograd.functional.jacobian(lambda images: critic(images, batch.labels), points)  # noqa: B023 - called at once
        squares = jacobian.square().sum((2, 3, 4))
        shares.append(float(1 - squares.trace() / squares.sum()))
    return shares


def main() -> None:
    """Train with both normalisations and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=Path)
    parser.add_argument("--steps", type=int, default=150)
    arguments = parser.parse_args()
    if arguments.patches is None:
        print("Pass a patch set as --patches.")
        return
    data = PatchSet.open(arguments.patches).split("train")
    steps = {"epochs": 1, "epoch_steps": arguments.steps, "select_from_epoch": 1, "checkpoint_every": 0}
    for norm in ("none", "cln"):
        preset = load_preset("quickstart")["train_generator.histogan"]
        config = HistoganConfig.make({**preset, **steps, "critic_norm": norm})
        shares = coupled(trained(config, data), data, config.z_dim)
        print(f"critic_norm={norm}: {', '.join(f'{share:.1%}' for share in shares)} for other patches, by stage")


if __name__ == "__main__":
    main()
