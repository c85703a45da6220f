"""What removes the borders of windows from large images: overlap, weight maps, or windows that move.

    python benchmarks/seams.py runs/pathup/full --images 8

Draws the same images with a trained generator of the method `pathup` in each way, and prints the gradient energy at
the borders of the windows relative to that on other lines of the decoder's grid; 1.0 is seamless. The last table has
the same figure for the grid itself in drawn overviews. Enlarged, its lines lie where the borders are, and count there.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from timing import surroundings

from histoforge.core.settings import load_preset
from histoforge.generators.loading import load_generator
from histoforge.generators.pathup.tracking import draw_large_image, draw_overview
from histoforge.generators.pathup.tracking_config import TrackingConfig
from histoforge.generators.pathup.windows import pixel_overlap, window_borders
from histoforge.metrics.seams import seam_energy

WAYS = {
    "no overlap": {"overlap": 0.0, "weights": "none"},
    "fixed windows": {},
    "windows that move": {"jitter": True},
}
"""Settings of each way, apart from the weights."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generator", type=Path)
    parser.add_argument("--images", type=int, default=8, help="number of images, of each class in turn")
    parser.add_argument("--enlarged", type=int, default=4, help="side of an image relative to that of an overview")
    parser.add_argument("--preset", default="demo", help="preset with the steps and the solver")
    arguments = parser.parse_args()
    model = load_generator(arguments.generator, "auto")
    settings = {name: load_preset(arguments.preset)["synthesise_images"][name] for name in ("steps", "solver")}
    side, factor = arguments.enlarged * model.info.patch_size[0], model.autoencoder.factor
    overlap = pixel_overlap(0.5, model.window)
    borders = [factor * border for border in window_borders(side // factor, model.window[0], overlap)]
    labels = np.arange(arguments.images) % len(model.info.classes)

    def draw(config):
        images = [
            draw_large_image(model, int(label), (side, side), config, torch.Generator().manual_seed(seed))
            for seed, label in enumerate(labels)
        ]
        return seam_energy(np.stack(images), borders, borders, factor)

    print(f"{surroundings(['torch', 'diffusers'])}; {arguments.images} images of {side} px")
    print("\n| | weights | seams |\n| --- | --- | ---: |")
    for name, way in WAYS.items():
        for weights in ("none",) if "weights" in way else ("none", "paper", "tent"):
            config = TrackingConfig.make({**settings, "weights": weights, **way})
            print(f"| {name} | {weights} | {draw(config):.2f} |", flush=True)
    print(f"| interpolation | | {draw(TrackingConfig.make({**settings, 'upscaler': 'bicubic'})):.2f} |")
    overviews = [draw_overview(model, int(label), torch.Generator().manual_seed(i)) for i, label in enumerate(labels)]
    lines = range(factor, model.info.patch_size[0], factor)
    print(f"\ngrid of {factor} px in drawn overviews: {seam_energy(np.stack(overviews), lines, lines):.2f}")


if __name__ == "__main__":
    main()
