"""Test the claims of PathUp on the phantom, where tissue is known: weight map, feature entropy loss, tracking.

    python benchmarks/pathup_claims.py --source runs/demo-slides --out runs/claims --seeds 3

Cuts both levels and the real large images, and trains one autoencoder, one upscaler and the judge, three `admil`
classifiers of real large images. For each seed, latent diffusion is trained with prompts alone and with the feature
entropy loss, and draws large images in each way of `WAYS`. The tables show the figure for seams, the FID of tiles, and
the share of images in which the judge sees the class that was asked for; then, for each claim, the difference of two
ways with its 95% interval (Student's t over the seeds). Finished steps are kept: the same command resumes.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from timing import surroundings

from histoforge.api import load_arm
from histoforge.api.running import run_step
from histoforge.core.results import RECORD
from histoforge.evaluation.image_scores import read_image_scores
from histoforge.evaluation.level_scores import TILE
from histoforge.patches import PatchSet

SIDE, SHRINK = 32, 4
LARGE = SIDE * SHRINK
CUT = {"train_fraction": 1.0, "control_share": 0.0, "max_patches_per_class": 1500}
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "tracking": ("entropy", {}),
    "tracking without weight map": ("entropy", {"weights": "none"}),
    "tracking without feature entropy": ("prompt", {}),
    "interpolation": ("entropy", {"upscaler": "bicubic"}),
    "BSRGAN": ("entropy", {"upscaler": "trained"}),
}
"""The alignment of the generator, and the settings of the drawing."""
CLAIMS = {
    "the weight map lowers the seams": ("tracking", "tracking without weight map", "seams"),
    "the feature entropy loss raises the share of the class": (
        "tracking",
        "tracking without feature entropy",
        "own class",
    ),
    "tracking lowers the FID against interpolation": ("tracking", "interpolation", "FID of tiles"),
    "tracking lowers the FID against BSRGAN": ("tracking", "BSRGAN", "FID of tiles"),
    "tracking raises the share of the class against interpolation": ("tracking", "interpolation", "own class"),
    "tracking raises the share of the class against BSRGAN": ("tracking", "BSRGAN", "own class"),
}


class Study:
    """The steps of the study, each in a folder below `out`; finished ones are not run again."""

    def __init__(self, source: Path, out: Path, images: int) -> None:
        self.source, self.out, self.images = source, out, images
        self.levels, self.large = self.out / "levels", self.out / "large"

    def run(self, step: str, name: str, settings: dict[str, Any], **inputs: Path) -> Path:
        folder = self.out / name
        if not (folder / RECORD).is_file():
            run_step(step, folder, inputs, given={}, settings=settings, preset="demo", overwrite=False)
        return folder

    def prepare(self) -> None:
        source = {"source": str(self.source), **CUT}
        self.run("preprocess", "levels", {**source, "overview_size": SIDE, "overview_shrink": SHRINK})
        self.run("preprocess", "large", {**source, "overview_size": LARGE, "overview_shrink": 1})
        patches, images = self.levels / "patches", self.large / "overviews"
        extractor = self.run("train_classifier", "extractor", {"arm": "baseline"}, patches=patches)
        bags = {"arm": "baseline", "backbone": "admil", "tile_size": SIDE, "seeds": 3}
        self.run("train_classifier", "judge", bags, patches=images)
        levels = {"patches": patches, "overviews": self.levels / "overviews", "extractor": extractor}
        space = self.run("train_autoencoder", "space", {"epochs": 10}, **levels)
        upscaling = {"patches": images, "autoencoder": space / "autoencoder"}
        self.run("train_upscaler", "bsrgan", {"method": "bsrgan"}, **upscaling)

    def train(self, alignment: str, seed: int) -> Path:
        settings = {"method": "pathup", "alignment": alignment, "seed": seed}
        space = {name: self.out / "space" / name for name in ("autoencoder", "latents")}
        inputs = {"patches": self.levels / "patches", "extractor": self.out / "extractor"}
        return self.run("train_generator", f"{alignment}-{seed}", settings, **inputs, **space)

    def score(self, way: str, seed: int) -> dict[str, Any]:
        """Draw large images in one way, and return their figures."""
        alignment, settings = WAYS[way]
        name = f"{way.replace(' ', '-')}-{seed}"
        models = {"generator": self.train(alignment, seed)}
        if settings.get("upscaler") == "trained":
            models["upscaler_model"] = self.out / "bsrgan"
        drawing = {"size": str(LARGE), "images_per_class": self.images, "jitter": False, "seed": seed, **settings}
        drawn = self.run("synthesise_images", f"drawn-{name}", drawing, **models) / "images"
        inputs = {"patches": self.large / "overviews", "images": drawn, "extractor": self.out / "extractor"}
        scores = read_image_scores(self.run("score_images", f"scores-{name}", {"name": way, "seed": seed}, **inputs))
        tiles = next(level for level in scores.levels if level.level == TILE)
        return {
            "way": way,
            "seed": seed,
            "seams": scores.seams.mean,
            "FID of tiles": tiles.metrics["fid"].mean,
            "own class": share_of_class(self.out / "judge", PatchSet.open(drawn)),
        }


def share_of_class(judge: Path, images: PatchSet) -> float:
    """Return the share of images whose class the judge answers."""
    answers = load_arm(judge).predict(images.images()).argmax(1)
    return float((answers == images.labels).mean())


def interval(values: np.ndarray) -> str:
    """Return the mean with its 95% interval over seeds."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else np.nan
    return f"{values.mean():.3g} ({values.mean() - half:.3g} to {values.mean() + half:.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="phantom slides, such as those of `make demo`")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each generator")
    parser.add_argument("--images", type=int, default=12, help="large images of each class and way")
    arguments = parser.parse_args()
    study = Study(arguments.source, arguments.out, arguments.images)
    study.prepare()
    rows = pd.DataFrame([study.score(way, seed) for seed in range(arguments.seeds) for way in WAYS])
    figures = rows.set_index(["way", "seed"])
    real = share_of_class(study.out / "judge", PatchSet.open(study.large / "overviews").split("test"))

    print(f"{surroundings(['torch', 'diffusers'])}; {arguments.images} images of each class, way and seed")
    print(f"The judge answers the class of {real:.2f} of real test images.")
    print(f"\n| | {' | '.join(figures)} |\n| --- |{' --- |' * len(figures.columns)}")
    for way in WAYS:
        print(f"| {way} | {' | '.join(interval(figures.loc[way, name].to_numpy()) for name in figures)} |")
    print("\n| claim | difference |\n| --- | --- |")
    for claim, (first, second, name) in CLAIMS.items():
        print(f"| {claim} | {interval((figures.loc[first, name] - figures.loc[second, name]).to_numpy())} |")


if __name__ == "__main__":
    main()
