"""One training step of a GAN: histoforge's precision and memory format against a plain float32 loop, in one run.

    python benchmarks/training_step.py                              # DCGAN-64, batch 128; HistoGAN at 64 px, batch 32
    python benchmarks/training_step.py --dcgan-batch 16 --histogan-batch 8 --rounds 1

Both sides have the same networks, weights, losses and data, and take one step of the critic (or discriminator) and
one of the generator; HistoGAN's has its gradient penalty. Ours: bfloat16 autocast where the processor has it,
channels_last, `layers.strided_conv`, fused Adam, and in the generator's turn no gradients of the critic's weights, as
in `Engine.step`. Plain: float32, contiguous, torch's layers and default Adam, a whole backward pass. Steps of both
sides alternate; the fastest of each counts.
"""

import argparse
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from timing import surroundings, table, timed
from torch import Tensor, nn

from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.critic import HistoganCritic
from histoforge.generators.histogan.generator import HistoganGenerator
from histoforge.generators.histogan.geometry import Geometry
from histoforge.generators.histogan.loss import at_each_stage, critic_loss, generator_loss
from histoforge.layers.strided_conv import StridedConv2d, StridedConvTranspose2d
from histoforge.training.device import autocast, resolve_device, resolve_precision

CLASSES = 2
Step = Callable[[], None]


class Side:
    """How one side runs: device, precision, memory format and optimiser."""

    def __init__(self, device: torch.device, ours: bool) -> None:
        self.device, self.ours = device, ours
        self.dtype = resolve_precision("auto", device) if ours else torch.float32
        precision = str(self.dtype).removeprefix("torch.")
        self.name = f"histoforge ({precision}, channels_last)" if ours else f"plain loop ({precision}, contiguous)"

    def place(self, module: nn.Module) -> nn.Module:
        """Bring a network to the device in this side's memory format."""
        module = module.to(self.device)
        return module.to(memory_format=torch.channels_last) if self.ours else module

    def down(self, channels: int, out_channels: int) -> nn.Module:
        """A convolution 4x4 of stride 2."""
        return (
            StridedConv2d(channels, out_channels)
            if self.ours
            else nn.Conv2d(channels, out_channels, 4, 2, 1, bias=False)
        )

    def up(self, channels: int, out_channels: int) -> nn.Module:
        """Its transpose."""
        if self.ours:
            return StridedConvTranspose2d(channels, out_channels)
        return nn.ConvTranspose2d(channels, out_channels, 4, 2, 1, bias=False)

    def images(self, batch: int, size: int) -> Tensor:
        """Images in [-1, 1], [batch, 3, size, size]."""
        images = torch.rand(batch, 3, size, size, device=self.device) * 2 - 1
        return images.contiguous(memory_format=torch.channels_last) if self.ours else images

    def adam(self, module: nn.Module, beta1: float) -> torch.optim.Adam:
        """This side's Adam."""
        options = {"fused": True} if self.ours else {}
        return torch.optim.Adam(module.parameters(), 2e-4, betas=(beta1, 0.9), **options)

    def update(self, optimizer: torch.optim.Adam, loss: Tensor) -> None:
        """One step of the optimiser."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=optimizer.param_groups[0]["params"] if self.ours else None)
        optimizer.step()


def dcgan_generator(side: Side, maps: int = 64, z_dim: int = 100) -> nn.Module:
    """The generator of Radford et al. 2016 for 64x64 px, 3.6 M weights at 64 maps."""
    channels = [8 * maps, 4 * maps, 2 * maps, maps]
    layers: list[nn.Module] = [nn.ConvTranspose2d(z_dim, 8 * maps, 4, bias=False), nn.BatchNorm2d(8 * maps), nn.ReLU()]
    for before, after in pairwise(channels):
        layers += [side.up(before, after), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, side.up(maps, 3), nn.Tanh())


def dcgan_discriminator(side: Side, maps: int = 64) -> nn.Module:
    """Its discriminator, 2.8 M weights at 64 maps."""
    layers: list[nn.Module] = [side.down(3, maps), nn.LeakyReLU(0.2)]
    for factor in (1, 2, 4):
        conv = side.down(factor * maps, 2 * factor * maps)
        layers += [conv, nn.BatchNorm2d(2 * factor * maps), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(8 * maps, 1, 4, 1, 0, bias=False), nn.Flatten(0))


def dcgan_step(side: Side, batch: int) -> Step:
    """One step of DCGAN-64 with the non-saturating loss."""
    torch.manual_seed(0)
    generator, discriminator = side.place(dcgan_generator(side)), side.place(dcgan_discriminator(side))
    optimizers = [side.adam(network, 0.5) for network in (generator, discriminator)]
    real, precision = side.images(batch, 64), autocast(side.device, side.dtype)

    def step() -> None:
        with precision:
            fake = generator(torch.randn(batch, 100, 1, 1, device=side.device))
            scores = discriminator(real).float(), discriminator(fake.detach()).float()
        side.update(optimizers[1], F.softplus(-scores[0]).mean() + F.softplus(scores[1]).mean())
        with precision:
            scored = discriminator(fake).float()
        side.update(optimizers[0], F.softplus(-scored).mean())

    return step


def histogan_step(side: Side, batch: int, size: int, config: HistoganConfig) -> Step:
    """One step of HistoGAN with its gradient penalty at all stages."""
    torch.manual_seed(0)
    geometry = Geometry.of(config, (size, size))
    generator = side.place(HistoganGenerator(config, geometry, CLASSES))
    stages = range(geometry.stages)
    critics = nn.ModuleList(side.place(HistoganCritic(config, geometry, stage, CLASSES)) for stage in stages)
    optimizers = [side.adam(network, 0.0) for network in (generator, critics)]
    labels = torch.arange(batch, device=side.device) % CLASSES
    levels, precision = at_each_stage(side.images(batch, size), geometry.stages), autocast(side.device, side.dtype)
    rng = torch.Generator(side.device).manual_seed(0)

    def step() -> None:
        with precision:
            fakes = generator(torch.randn(batch, config.z_dim, device=side.device), labels)
            seen = [fake.detach() for fake in fakes]
            loss, _ = critic_loss(critics, levels, seen, labels, config.gp_weight, rng)
        side.update(optimizers[1], loss)
        with precision:
            loss = generator_loss(critics, fakes, labels)
        side.update(optimizers[0], loss)

    return step


def fastest(sides: dict[str, Step], rounds: int) -> dict[str, float]:
    """Seconds of each side's fastest step, after one to warm up; steps alternate."""
    best = dict.fromkeys(sides, float("inf"))
    for turn in range(rounds + 1):
        for name, step in sides.items():
            seconds, _ = timed(step)
            if turn:
                best[name] = min(best[name], seconds)
    return best


def main() -> None:
    """Time both networks and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dcgan-batch", type=int, default=128)
    parser.add_argument("--histogan-batch", type=int, default=32)
    parser.add_argument("--histogan-size", type=int, default=64, help="px")
    parser.add_argument("--base-channels", type=int, default=512, help="HistoGAN's; the critics' are an eighth and up")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    ours, plain = Side(device, True), Side(device, False)
    config = HistoganConfig.make(
        {
            "up_blocks": 3,
            "base_channels": arguments.base_channels,
            "min_channels": arguments.base_channels // 8,
            "critic_channels": arguments.base_channels // 8,
            "critic_max_channels": arguments.base_channels,
        }
    )
    histogan = arguments.histogan_batch, arguments.histogan_size, config
    cases = {
        f"DCGAN-64, batch {arguments.dcgan_batch}": (
            arguments.dcgan_batch,
            {ours.name: dcgan_step(ours, arguments.dcgan_batch), plain.name: dcgan_step(plain, arguments.dcgan_batch)},
        ),
        f"HistoGAN {arguments.histogan_size} px with penalty, batch {arguments.histogan_batch}": (
            arguments.histogan_batch,
            {ours.name: histogan_step(ours, *histogan), plain.name: histogan_step(plain, *histogan)},
        ),
    }
    print(surroundings(["torch"]))
    for name, (batch, sides) in cases.items():
        print("\n" + table(name, "img", batch, fastest(sides, arguments.rounds), baseline=plain.name))


if __name__ == "__main__":
    main()
