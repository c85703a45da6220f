"""Large images by windows: windows per second against one call per window, and peak memory by size.

The loop to compare with is that of diffusers' panorama pipeline (Bar-Tal et al. 2023, "MultiDiffusion"): the network is
called for one window after the other, each window has the state of its scheduler, and overlapping windows are averaged
without weights. Both sides have the same network, windows, steps and noise. Peak memory is that of one process per
size. The network is untrained and small; `--channels 320 --patch 512` is that of Stable Diffusion.

    python benchmarks/large_images.py
    python benchmarks/large_images.py --sizes 1024 2048 4096
"""

import argparse
import resource
import subprocess
import sys

import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from timing import CLOCKS, fastest_in_turn, surroundings, table, use_clock

from histoforge.autoencoder.architecture import Architecture
from histoforge.autoencoder.network import Autoencoder
from histoforge.generators.pathup.config import PathupConfig
from histoforge.generators.pathup.diffusion import noise_schedule
from histoforge.generators.pathup.network import PathupNetwork
from histoforge.generators.pathup.tracking import draw_large_image, noise_predictor, track
from histoforge.generators.pathup.tracking_config import TrackingConfig
from histoforge.generators.pathup.trained import TrainedPathup
from histoforge.generators.pathup.windows import crop, pixel_overlap, window_corners
from histoforge.training.device import resolve_device
from histoforge.training.model_files import ModelInfo

FACTOR_LEVELS = 4
"""Levels of the autoencoder: 8 px per latent."""


def untrained(arguments, precision):
    """Build a generator of two classes."""
    torch.manual_seed(0)
    size = (arguments.patch, arguments.patch)
    config = PathupConfig(unet_channels=arguments.channels, levels=3, sampling_steps=2, precision=precision)
    architecture = Architecture(
        block_out_channels=(8,) * FACTOR_LEVELS, norm_num_groups=4, mid_block_add_attention=False
    )
    autoencoder = Autoencoder(architecture)
    window = (arguments.patch // autoencoder.factor,) * 2
    network = PathupNetwork(config, 2, architecture.latent_channels, window)
    info = ModelInfo(kind="generator", method="pathup", config=config.model_dump(), classes=["a", "b"], patch_size=size)
    device = resolve_device("auto")
    networks = (part.to(device).eval().requires_grad_(False) for part in (network, autoencoder))
    return TrainedPathup(info, config, *networks, device)


@torch.inference_mode()
def one_by_one(model, latent, config, seed):
    """Denoise window by window, as diffusers' panorama pipeline does."""
    corners = window_corners(latent.shape[1:], model.window, pixel_overlap(config.overlap, model.window))
    scheduler = DPMSolverMultistepScheduler(
        trained_betas=noise_schedule().betas.tolist(), solver_order=1, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(config.steps)
    states = [dict(scheduler.__dict__) for _ in corners]
    times = scheduler.timesteps[config.steps - round(config.strength * config.steps) :]
    condition = model.condition(torch.tensor([0]), 0)
    rng = torch.Generator().manual_seed(seed)
    noisy = scheduler.add_noise(latent[None], torch.randn(latent.shape, generator=rng)[None], times[:1])
    noisy = noisy.to(model.device)
    for time in times:
        total, count = torch.zeros_like(noisy), torch.zeros_like(noisy)
        for index, corner in enumerate(corners):
            scheduler.__dict__.update(states[index])
            window = crop(noisy, corner, model.window)
            noise = model.predict_noise(window, time[None], condition)
            crop(total, corner, model.window).add_(scheduler.step(noise, time, window, return_dict=False)[0])
            crop(count, corner, model.window).add_(1)
            states[index] = dict(scheduler.__dict__)
        noisy = total / count
    return noisy[0].cpu()


def by_batches(model, latent, config, seed):
    """Denoise as `synthesise_images` does."""
    rng = torch.Generator().manual_seed(seed)
    predictor = noise_predictor(model, model.condition(torch.tensor([0]), 0))
    with torch.inference_mode():
        return track(predictor, latent, model.alphas_cumprod, model.window, config, rng)


def speed(arguments):
    """Print windows per second."""
    plain, same, shipped = (untrained(arguments, precision) for precision in ("float32", "float32", "auto"))
    for model in (same, shipped):
        model.network.to(memory_format=torch.channels_last)
    config = TrackingConfig(steps=arguments.steps, strength=0.6, weights="none", window_batch=arguments.batch)
    side = arguments.size // plain.autoencoder.factor
    latent = torch.randn(4, side, side, generator=torch.Generator().manual_seed(0))
    results = fastest_in_turn(
        {
            "one window per call, float32": lambda: one_by_one(plain, latent, config, seed=1),
            "batches, float32": lambda: by_batches(same, latent, config, seed=1),
            f"batches, {shipped.dtype}".replace("torch.", ""): lambda: by_batches(shipped, latent, config, seed=1),
        },
        arguments.rounds,
    )
    windows = len(window_corners((side, side), plain.window, pixel_overlap(config.overlap, plain.window)))
    times = {name: seconds for name, (seconds, _) in results.items()}
    baseline, equal, *_ = results
    title = f"{windows} windows of {arguments.patch} px, {round(0.6 * arguments.steps)} steps"
    print(table(title, "windows", windows * round(0.6 * arguments.steps), times, baseline))
    difference = (results[baseline][1] - results[equal][1]).abs().max()
    print(f"\nlargest difference of the latents in float32: {difference:.1e} (they reach {latent.abs().max():.1f})")


def peak(arguments, size):
    """Draw one image, and print the peak memory of this process."""
    model = untrained(arguments, "auto")
    config = TrackingConfig(steps=2, window_batch=arguments.batch)
    draw_large_image(model, 0, (size, size), config, torch.Generator().manual_seed(0))
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    on_device = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0
    print(f"| {size} | {host:,.0f} | {3 * size**2 / 2**20:,.0f} | {on_device:,.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=64, help="channels of the U-Net's first level")
    parser.add_argument("--patch", type=int, default=64, help="side of a window, px")
    parser.add_argument("--size", type=int, default=512, help="side of the image whose windows are timed, px")
    parser.add_argument("--steps", type=int, default=5, help="steps from pure noise; 0.6 times as many are timed")
    parser.add_argument("--batch", type=int, default=16, help="windows per call")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1024, 2048], help="sizes for the peak memory, px")
    parser.add_argument(
        "--clock", default="wall", choices=list(CLOCKS), help="'processor' on a busy machine, one thread"
    )
    parser.add_argument("--peak", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        peak(arguments, arguments.peak)
        return
    use_clock(arguments.clock)
    print(f"{surroundings(['torch', 'diffusers'])}; {arguments.clock} time", end="\n\n")
    if arguments.rounds:
        speed(arguments)
    print("\n| image, px | peak memory of the process, MiB | of it the image, MiB | of the GPU, MiB |")
    print("| ---: | ---: | ---: | ---: |", flush=True)
    for size in arguments.sizes:
        options = ["--channels", arguments.channels, "--patch", arguments.patch, "--batch", arguments.batch]
        subprocess.run([sys.executable, __file__, "--peak", str(size), *map(str, options)], check=True)


if __name__ == "__main__":
    main()
