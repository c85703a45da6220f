"""The unified ViT cGAN: a training step, sampling, and the memory of a step, against plain float32.

    python benchmarks/vitgan.py                        # 64 px; 512 channels, batch 8
    python benchmarks/vitgan.py --parts step --profile # and what the time of a step goes to
    python benchmarks/vitgan.py --parts memory --sizes 64 96 128

The step is both updates with the penalty. Ours is the method's own `train` on random patches; a step's time is the
shortest between two ends of a step. Plain is a loop as published code of such networks writes it, over the same
networks and the same draws: float32, attention as matrix products and a softmax everywhere (the penalty needs it), real
and synthetic patches in separate passes, the penalty through both heads, and whole backward passes. Sampling compares
the generator as it ships with float32, once with the fused attention of torch and once with the written-out one. Memory
is the peak of a process that takes one step, less that of the same process before it.
"""

import argparse
import multiprocessing
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from shipped import TimedEngine, describe, random_patches
from timing import CLOCKS, fastest, surroundings, table, use_clock

from histoforge.generators import wgan_gp
from histoforge.generators.methods import METHODS
from histoforge.generators.vitgan import train as vitgan
from histoforge.generators.vitgan.loss import select
from histoforge.generators.vitgan.noise import truncated
from histoforge.generators.vitgan.trained import TrainedVitgan
from histoforge.layers import token_attention
from histoforge.patches import PatchSet
from histoforge.training.engine import Engine

CLASSES = 2


def networks_of(config: Any, patches: PatchSet) -> Any:
    """Return both networks and their optimisers on the processor."""
    with tempfile.TemporaryDirectory() as work:
        engine = Engine(Path(work), {}, device="cpu", precision=config.precision, checkpoint_every=0)
        return vitgan._Networks(config, patches, engine, describe("vitgan", config, patches))


@contextmanager
def plain_attention() -> Iterator[None]:
    """Compute attention as matrix products and a softmax, of all images and heads at once."""
    with token_attention.twice_differentiable(), patch.object(token_attention, "CACHED_WEIGHTS", 2**62):
        yield


def plain_step(config: Any, patches: PatchSet) -> Callable[[], None]:
    """Return one step of a plain float32 loop."""
    torch.manual_seed(0)
    networks = networks_of(config, patches)
    generator, discriminator, weighing = networks.generator, networks.discriminator, networks.weighing
    optimizers = [
        torch.optim.Adam(parameters, 1e-4, betas=(0.0, 0.99))
        for parameters in (generator.parameters(), [*discriminator.parameters(), *weighing.parameters()])
    ]
    size = patches.patch_size
    real, labels = torch.rand(config.batch_size, 3, *size) * 2 - 1, torch.arange(config.batch_size) % CLASSES
    rng = torch.Generator().manual_seed(0)

    def update(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def step() -> None:
        with plain_attention():
            fake = generator(truncated(torch.randn(config.batch_size, config.z_dim), config.truncation), labels)
            (real_scores, real_logits), (scores, logits) = discriminator(real), discriminator(fake.detach())
            chosen = select(config, logits, labels)
            real_loss = torch.nn.functional.cross_entropy(real_logits, labels)
            penalty = wgan_gp.gradient_penalty(lambda images: discriminator(images)[0], real, fake, rng)
            loss = wgan_gp.critic_loss(real_scores, scores) + config.gp_weight * penalty
            update(optimizers[1], loss + weighing(real_loss, chosen.loss, chosen.any))
            scores, logits = discriminator(fake)
            chosen = select(config, logits, labels)
            weight = weighing.weight(weighing.synthetic.detach())
            update(optimizers[0], wgan_gp.generator_loss(scores) + weight * chosen.loss)

    return step


def train(config: Any, patches: PatchSet) -> list[float]:
    """Run the method's own training, and return the time at which each step ended."""
    with tempfile.TemporaryDirectory() as work:
        engine = TimedEngine(Path(work), {}, device="cpu", precision=config.precision, checkpoint_every=0)
        validation = patches.where(range(config.batch_size))
        vitgan.train(config, patches, engine, None, describe("vitgan", config, patches), validation)
    return engine.ends


def shipped_step(config: Any, patches: PatchSet) -> float:
    """Return the seconds of the fastest step of the method's own training."""
    ends = train(config, patches)[:-1]
    return min(after - before for before, after in pairwise(ends))


def compare_steps(config: Any, patches: PatchSet, arguments: argparse.Namespace) -> None:
    """Print the time of a step of both sides."""
    plain = plain_step(config.model_copy(update={"precision": "float32"}), patches)
    ours, other = shipped_step(config, patches), fastest(plain, arguments.rounds)
    baseline = "plain loop (float32)"
    title = f"A training step at {arguments.size} px with penalty, batch {config.batch_size}"
    print("\n" + table(title, "img", config.batch_size, {"histoforge": ours, baseline: other}, baseline), flush=True)
    if arguments.profile:
        profile(lambda: shipped_step(config.model_copy(update={"epoch_steps": 3}), patches), "histoforge")
        profile(plain, "plain loop")


def compare_sampling(config: Any, patches: PatchSet, arguments: argparse.Namespace) -> None:
    """Print the time of drawing patches."""
    labels, times = torch.arange(arguments.drawn) % CLASSES, {}
    generator = networks_of(config, patches).generator
    for name, precision in (("histoforge", config.precision), ("float32, fused attention", "float32")):
        info = describe("vitgan", config.model_copy(update={"precision": precision}), patches)
        trained = TrainedVitgan(info, generator, torch.device("cpu"))

        def drawing(trained: TrainedVitgan = trained) -> torch.Tensor:
            return trained.sample(labels, torch.Generator().manual_seed(0))

        times[name] = fastest(drawing, arguments.rounds)
    with plain_attention():
        times["float32, plain attention"] = fastest(drawing, arguments.rounds)
    title = f"Drawing {arguments.drawn} patches of {arguments.size} px"
    print("\n" + table(title, "img", arguments.drawn, times, "float32, plain attention"), flush=True)


def peak_of_steps(config: Any, size: int, connection: Any) -> None:
    """Send the memory in MB that a step at a patch size adds to this process."""
    with tempfile.TemporaryDirectory() as folder:
        patches = random_patches(Path(folder) / "patches", 2 * config.batch_size, size, CLASSES)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        train(config.model_copy(update={"epoch_steps": 1}), patches)
        connection.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def measure_memory(config: Any, sizes: list[int]) -> None:
    """Print the memory of a step by patch size, each measured in a process of its own."""
    print(f"\n**Memory of a step, batch {config.batch_size}**\n\n| patch size, px | MB |\n| --- | ---: |")
    for size in sizes:
        receiver, sender = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=peak_of_steps, args=(config, size, sender))
        process.start()
        print(f"| {size} | {receiver.recv():,.0f} |", flush=True)
        process.join()


def profile(run: Callable[[], Any], name: str) -> None:
    """Print the operations that take most of the time."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        run()
    print(f"\n{name}\n{profiler.key_averages().table(sort_by='self_cpu_time_total', row_limit=15)}")


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ["step", "sampling", "memory"]
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts)
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[64, 80, 96, 112, 128], help="px, of the memory's table"
    )
    parser.add_argument("--channels", type=int, default=512, help="the generator's")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--drawn", type=int, default=32, help="patches to draw at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--clock", default="wall", choices=list(CLOCKS), help="'processor' on a busy machine, one thread"
    )
    parser.add_argument("--profile", action="store_true", help="print where the time of a step goes")
    arguments = parser.parse_args()
    use_clock(arguments.clock)
    steps = {"epochs": 1, "epoch_steps": arguments.rounds + 2, "checkpoint_every": 0, "device": "cpu"}
    size = {"generator_channels": arguments.channels, "batch_size": arguments.batch}
    config = METHODS["vitgan"].config({**steps, **size})
    print(f"{surroundings(['torch'])}; {arguments.clock} time")
    with tempfile.TemporaryDirectory() as folder:
        patches = random_patches(Path(folder) / "patches", 4 * config.batch_size, arguments.size, CLASSES)
        if "step" in arguments.parts:
            compare_steps(config, patches, arguments)
        if "sampling" in arguments.parts:
            compare_sampling(config, patches, arguments)
    if "memory" in arguments.parts:
        measure_memory(config, arguments.sizes)


if __name__ == "__main__":
    main()
