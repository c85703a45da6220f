"""One training step of a GAN: the training that ships against a plain float32 loop, in one run.

    python benchmarks/training_step.py                              # DCGAN-64, batch 128; HistoGAN at 64 px, batch 32
    python benchmarks/training_step.py --dcgan-batch 16 --histogan-batch 8 --rounds 1
    python benchmarks/training_step.py --profile                    # and what the time of a step goes to

Ours is the method's own `train`, with its engine, data and history, on random patches; a step's time is the shortest
between two ends of a step. Plain is a loop as tutorials write it, in float32, contiguous, with torch's layers, its
default Adam and a whole backward pass: for DCGAN over networks of torch's own layers, for HistoGAN over the same
networks, whose gradient penalty it has too. Both sides run in turn, twice; the fastest of each counts. How many times
as fast ours is depends on what the processor has for bfloat16: state the first line of the output with each ratio.
"""

import argparse
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from shipped import random_patches, seconds_per_step
from timing import CLOCKS, fastest, surroundings, table, use_clock
from torch import Tensor, nn

from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.critic import HistoganCritic
from histoforge.generators.histogan.generator import HistoganGenerator
from histoforge.generators.histogan.geometry import Geometry
from histoforge.generators.histogan.loss import at_each_stage, critic_loss, generator_loss
from histoforge.generators.methods import METHODS
from histoforge.patches import PatchSet
from histoforge.training.device import resolve_device

CLASSES = 2
TIMES = 2
Step = Callable[[], None]


def adam(module: nn.Module, beta1: float) -> torch.optim.Adam:
    """Return torch's default Adam."""
    return torch.optim.Adam(module.parameters(), 2e-4, betas=(beta1, 0.9))


def update(optimizer: torch.optim.Adam, loss: Tensor) -> None:
    """Take one step of the optimiser after a complete backward pass."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def plain_generator(maps: int = 64, z_dim: int = 100) -> nn.Module:
    """Return the generator of Radford et al. 2016 for 64x64 px, 3.6 M weights at 64 maps."""
    channels = [8 * maps, 4 * maps, 2 * maps, maps]
    layers: list[nn.Module] = [nn.ConvTranspose2d(z_dim, 8 * maps, 4, bias=False), nn.BatchNorm2d(8 * maps), nn.ReLU()]
    for before, after in pairwise(channels):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(maps, 3, 4, 2, 1, bias=False), nn.Tanh())


def plain_discriminator(maps: int = 64) -> nn.Module:
    """Return the matching discriminator, 2.8 M weights at 64 maps."""
    layers: list[nn.Module] = [nn.Conv2d(3, maps, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for factor in (1, 2, 4):
        conv = nn.Conv2d(factor * maps, 2 * factor * maps, 4, 2, 1, bias=False)
        layers += [conv, nn.BatchNorm2d(2 * factor * maps), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(8 * maps, 1, 4, 1, 0, bias=False), nn.Flatten(0))


def plain_dcgan(batch: int, device: torch.device) -> Step:
    """Return one step of DCGAN-64 with the non-saturating loss."""
    torch.manual_seed(0)
    generator, discriminator = plain_generator().to(device), plain_discriminator().to(device)
    optimizers = [adam(network, 0.5) for network in (generator, discriminator)]
    real = torch.rand(batch, 3, 64, 64, device=device) * 2 - 1

    def step() -> None:
        fake = generator(torch.randn(batch, 100, 1, 1, device=device))
        scores = discriminator(real), discriminator(fake.detach())
        update(optimizers[1], F.softplus(-scores[0]).mean() + F.softplus(scores[1]).mean())
        update(optimizers[0], F.softplus(-discriminator(fake)).mean())

    return step


def plain_histogan(batch: int, size: int, config: HistoganConfig, device: torch.device) -> Step:
    """Return one step of HistoGAN with its gradient penalty at all stages."""
    torch.manual_seed(0)
    geometry = Geometry.of(config, (size, size))
    generator = HistoganGenerator(config, geometry, CLASSES).to(device)
    critics = nn.ModuleList(HistoganCritic(config, geometry, stage, CLASSES) for stage in range(geometry.stages))
    optimizers = [adam(network, 0.0) for network in (generator, critics.to(device))]
    labels = torch.arange(batch, device=device) % CLASSES
    levels = at_each_stage(torch.rand(batch, 3, size, size, device=device) * 2 - 1, geometry.stages)
    rng = torch.Generator(device).manual_seed(0)

    def step() -> None:
        fakes = generator(torch.randn(batch, config.z_dim, device=device), labels)
        loss, _ = critic_loss(critics, levels, [fake.detach() for fake in fakes], labels, config.gp_weight, rng)
        update(optimizers[1], loss)
        update(optimizers[0], generator_loss(critics, fakes, labels))

    return step


def compare(
    method: str, config: Any, patches: PatchSet, plain: Step, arguments: argparse.Namespace
) -> tuple[dict[str, float], str]:
    """Return the seconds per step of both sides, and the name of the plain one."""
    ours, other = float("inf"), float("inf")
    for _ in range(TIMES):
        seconds, _, dtype = seconds_per_step(method, config, patches)
        ours, other = min(ours, seconds), min(other, fastest(plain, arguments.rounds))
    name = f"histoforge ({str(dtype).removeprefix('torch.')}, channels_last)"
    if arguments.profile:
        profile(lambda: seconds_per_step(method, config, patches), name)
        profile(plain, "plain loop")
    return {name: ours, "plain loop (float32, contiguous)": other}, "plain loop (float32, contiguous)"


def profile(run: Callable[[], Any], name: str) -> None:
    """Print the operations that take most of the time."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        run()
    print(f"\n{name}\n{profiler.key_averages().table(sort_by='self_cpu_time_total', row_limit=25)}")


def main() -> None:
    """Time both networks and print one table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["dcgan", "histogan"], choices=["dcgan", "histogan"])
    parser.add_argument("--dcgan-batch", type=int, default=128)
    parser.add_argument("--histogan-batch", type=int, default=32)
    parser.add_argument("--histogan-size", type=int, default=64, help="px")
    parser.add_argument("--base-channels", type=int, default=512, help="HistoGAN's; the critics' are an eighth and up")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=["auto", "bfloat16", "float32"], help="ours")
    parser.add_argument(
        "--clock", default="wall", choices=list(CLOCKS), help="'processor' on a busy machine, one thread"
    )
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    use_clock(arguments.clock)
    steps = {"epochs": 1, "epoch_steps": arguments.rounds + 2, "checkpoint_every": 0, "device": arguments.device}
    steps["precision"] = arguments.precision
    widths = {
        "up_blocks": 3,
        "base_channels": arguments.base_channels,
        "min_channels": arguments.base_channels // 8,
        "critic_channels": arguments.base_channels // 8,
        "critic_max_channels": arguments.base_channels,
    }
    histogan = HistoganConfig.make({**steps, **widths, "batch_size": arguments.histogan_batch})
    dcgan = METHODS["dcgan"].config({**steps, "batch_size": arguments.dcgan_batch})
    size = arguments.histogan_size
    cases: dict[str, tuple[str, Any, int, Step]] = {
        "dcgan": (f"DCGAN-64, batch {dcgan.batch_size}", dcgan, 64, plain_dcgan(dcgan.batch_size, device)),
        "histogan": (
            f"HistoGAN {size} px with penalty, batch {histogan.batch_size}",
            histogan,
            size,
            plain_histogan(histogan.batch_size, size, histogan, device),
        ),
    }
    print(f"{surroundings(['torch'])}; {arguments.clock} time")
    with tempfile.TemporaryDirectory() as folder:
        for method in arguments.methods:
            title, config, side, plain = cases[method]
            patches = random_patches(Path(folder) / method, 4 * config.batch_size, side, CLASSES)
            times, baseline = compare(method, config, patches, plain, arguments)
            print("\n" + table(title, "img", config.batch_size, times, baseline=baseline), flush=True)


if __name__ == "__main__":
    main()
