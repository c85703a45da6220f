"""Training and sampling of each method, and what the guide costs.

    python benchmarks/zoo.py

Ours is the method's own training, with its engine, its data and its history, on random patches; a step's time is the
shortest between two ends of a step. Plain is a loop over the same networks and losses as tutorials write it: float32,
contiguous, torch's default Adam, a whole backward pass, and, for rleo, a guide that embeds real patches anew in each
step. Both sides run in turn, twice. The guide's cost is rleo's step over improved_dcgan's, both ours.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from shipped import random_patches, seconds_per_step
from timing import CLOCKS, fastest, surroundings, table, timed, use_clock
from torch import Tensor, nn

from histoforge.generators.config import GeneratorConfig
from histoforge.generators.dcgan import train as dcgan
from histoforge.generators.dcgan.config import SnganConfig
from histoforge.generators.dcgan.geometry import doublings
from histoforge.generators.dcgan.network import DcganDiscriminator, DcganGenerator
from histoforge.generators.dcgan.objective import DiscriminatorStep
from histoforge.generators.ddpm.config import TIMESTEPS, DdpmConfig
from histoforge.generators.ddpm.diffusion import diffusion_loss, noise_schedule
from histoforge.generators.ddpm.network import DenoisingNetwork
from histoforge.generators.methods import METHODS
from histoforge.generators.rleo.reward import RewardTerm, similarity
from histoforge.patches import PatchSet
from histoforge.patches.device import Batch, DevicePatches
from histoforge.siamese.guide import METHOD, NORMALISATION, Guide
from histoforge.siamese.network import MftSnn
from histoforge.training.device import resolve_device, resolve_precision
from histoforge.training.model_files import ModelInfo

MEASURED = [name for name, method in METHODS.items() if method.config_class().class_wise]
"""The methods with one model per class; `training_step.py` times HistoGAN."""
Step = Callable[[], None]


def settings(method: str, arguments: argparse.Namespace) -> GeneratorConfig:
    """Return a method's settings at the requested size."""
    cycle = getattr(METHODS[method].config_class(), "n_critic", 1)
    steps = (arguments.rounds + 1) * cycle + 2  # the first step warms up, the last writes a checkpoint
    values = {
        "batch_size": arguments.ddpm_batch if method == "ddpm" else arguments.batch,
        "epochs": 1,
        "epoch_steps": steps,
        "checkpoint_every": 0,
        "device": arguments.device,
        "unet_channels": arguments.unet_channels,
        "generator_maps": arguments.maps,
        "discriminator_maps": arguments.maps,
    }
    return METHODS[method].config(values)


def plain(config: Any, patches: PatchSet, guide: nn.Module, device: torch.device) -> Step:
    """Return one step of a plain loop over a method's networks."""
    loaded = DevicePatches.load(patches, device)
    batch = loaded.batch(torch.arange(config.batch_size) % len(loaded))
    batch = Batch(batch.images.contiguous(), batch.labels, batch.rows)
    return plain_ddpm(config, batch, device) if isinstance(config, DdpmConfig) else plain_gan(config, batch, guide)


def plain_ddpm(config: DdpmConfig, batch: Batch, device: torch.device) -> Step:
    """Return one step of the diffusion model's plain loop."""
    height, width = batch.images.shape[2:]
    network, schedule = DenoisingNetwork(config, (height, width), 1).to(device), noise_schedule(config.prediction)
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)

    def step() -> None:
        times = torch.randint(TIMESTEPS, (len(batch.labels),), device=device)
        noise = torch.randn_like(batch.images)
        update(optimizer, diffusion_loss(network, schedule, batch.images, batch.labels, times, noise))

    return step


def plain_gan(config: Any, batch: Batch, guide: nn.Module) -> Step:
    """Return one step of a GAN's plain loop: the discriminator, and in every `n_critic`-th step the generator."""
    device, rng = batch.images.device, torch.Generator(batch.images.device)
    size = (int(batch.images.shape[2]), int(batch.images.shape[3]))
    depth = doublings(size, "")
    generator = DcganGenerator(config, size, depth).to(device)
    discriminator = DcganDiscriminator(config, size, depth, isinstance(config, SnganConfig)).to(device)
    options = {"lr": config.learning_rate, "betas": (config.beta1, config.beta2)}
    optimizers = [torch.optim.Adam(network.parameters(), **options) for network in (generator, discriminator)]
    objective = dcgan.objective_of(config)
    term = RewardTerm(config.reward, config.reward_weight, rng) if hasattr(config, "reward") else None
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        samples = generator(torch.randn(len(batch.labels), config.z_dim, device=device))
        detached = samples.detach()
        scores = discriminator(batch.images), discriminator(detached)
        loss, _ = objective.discriminator(
            DiscriminatorStep(discriminator, batch.images, detached, *scores, batch, detached, rng)
        )
        if term is not None:
            with torch.no_grad():
                similarities = similarity(guide(batch.images), guide(detached), config.pairing)
            loss = loss + term(scores[1], similarities)
        update(optimizers[1], loss, config.clip_at if config.clip == "value" else None)
        if steps % config.n_critic == 0:
            update(optimizers[0], objective.generator(discriminator(samples)))

    return step


def update(optimizer: torch.optim.Adam, loss: Tensor, clip: float | None = None) -> None:
    """Take a step of the optimiser as in tutorials."""
    optimizer.zero_grad()
    loss.backward()
    if clip is not None:
        torch.nn.utils.clip_grad_value_(optimizer.param_groups[0]["params"], clip)
    optimizer.step()


def seconds_per_plain_step(step: Step, rounds: int, cycle: int) -> float:
    """Return the seconds per step of the fastest of `rounds` rounds of `cycle` steps, after one warm-up round."""

    def run_cycle() -> None:
        for _ in range(cycle):
            step()

    return fastest(run_cycle, rounds) / cycle


def new_guide(width: float, size: int, device: torch.device) -> Guide:
    """Return a guide with random weights; it costs as much as a trained one."""
    info = ModelInfo(
        kind="guide",
        method=METHOD,
        config={"width": width, "normalisation": NORMALISATION},
        classes=["all"],
        patch_size=(size, size),
    )
    return Guide(info, MftSnn(width), device, resolve_precision("auto", device))


def main() -> None:
    """Time each method; print its table, the cost of the guide and the sampling rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=MEASURED, choices=MEASURED)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--ddpm-batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument("--maps", type=int, default=64, help="feature maps of the GANs")
    parser.add_argument("--unet-channels", type=int, default=64)
    parser.add_argument("--guide-width", type=float, default=1.0, help="1 is VGG-16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--clock", default="wall", choices=list(CLOCKS), help="'processor' on a busy machine, one thread"
    )
    arguments = parser.parse_args()
    use_clock(arguments.clock)
    device, sampled, steps = resolve_device(arguments.device), {}, {}
    guide = new_guide(arguments.guide_width, arguments.size, device)
    plain_guide = MftSnn(arguments.guide_width).to(device).eval().requires_grad_(False)
    print(f"{surroundings(['torch', 'diffusers'])}; {arguments.clock} time")
    with tempfile.TemporaryDirectory() as folder:
        patches = random_patches(Path(folder) / "patches", 4 * arguments.batch, arguments.size)
        for method in arguments.methods:
            config: Any = settings(method, arguments)
            times = {"histoforge": float("inf"), "plain loop": float("inf")}
            for _ in range(2):
                seconds, generator, _ = seconds_per_step(method, config, patches, guide)
                cycle = getattr(config, "n_critic", 1)
                other = seconds_per_plain_step(plain(config, patches, plain_guide, device), arguments.rounds, cycle)
                times = {name: min(old, new) for (name, old), new in zip(times.items(), (seconds, other), strict=True)}
            steps[method] = times["histoforge"]
            labels = torch.zeros(config.batch_size, dtype=torch.int64)
            rng = torch.Generator()
            generator.sample(labels, rng)
            sampled[method] = len(labels) / min(timed(lambda: generator.sample(labels, rng))[0] for _ in range(3))  # noqa: B023 - called at once
            name = f"{method}, {arguments.size} px, batch {config.batch_size}"
            print("\n" + table(name, "img", config.batch_size, times, baseline="plain loop"), flush=True)
    if {"rleo", "improved_dcgan"} <= set(steps):
        print(f"\nThe guide adds {steps['rleo'] / steps['improved_dcgan'] - 1:.0%} to a step of improved_dcgan.")
    print("\n| method | img/s sampled |\n| --- | ---: |")
    for method, rate in sampled.items():
        print(f"| {method} | {rate:,.0f} |")


if __name__ == "__main__":
    main()
