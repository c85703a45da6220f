"""Measure how near each method's patches come to real ones as its training goes on.

    python benchmarks/learning_curves.py --methods histogan ddpm --steps 4000
    python benchmarks/learning_curves.py --methods ddpm --steps 4000 --name "ddpm, noise" --set prediction=noise

The phantom draws any number of independent patches, so the floor is known: the distance between two sets of real
patches of the same patients, of which neither was trained on. Each method trains as `histoforge train-generator` does
with a preset. At every mark it draws the same number of patches from the same noise. FID and KID against unseen real
patches are then computed in each feature space, and a picture of the first patches is kept.

A run that was stopped continues at its last mark. Results of earlier calls with the same `--out` stay in the table and
the figure. Everything is written to `--out`: `curves.csv`, `curves.md`, `curves.png` and `pictures/`.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray
from timing import surroundings

from histoforge.classifiers.arms import load_classifier
from histoforge.core.settings import load_preset
from histoforge.generators.class_training import ClassTraining, class_trainings
from histoforge.generators.config import GeneratorConfig
from histoforge.generators.loading import Generator, draw
from histoforge.generators.methods import METHODS, parse_title
from histoforge.metrics.extract import Extractor, extract_features
from histoforge.metrics.frechet import frechet_distance
from histoforge.metrics.kid import kernel_distance
from histoforge.metrics.pixel_statistics import PixelStatistics
from histoforge.metrics.random_features import RandomFeatures
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.pictures import grid, save_png
from histoforge.phantom.patches import draw_patches
from histoforge.phantom.slides import CLASSES
from histoforge.siamese.guide import Guide, load_guide
from histoforge.steps import finetune_snn, train_classifier
from histoforge.steps.finetune_snn_config import FinetuneSnnConfig
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo

Pixels = NDArray[np.uint8]
PIXELS = "pixel statistics"
HEADER = """\
| method | steps | space | FID | times the floor | lowest FID, at step | KID x 1000 |
| --- | ---: | --- | ---: | ---: | ---: | ---: |"""
SHOWN = 12
"""Patches per class in a picture."""


@dataclass(frozen=True)
class Run:
    """One curve.

    Attributes:
        name: its name in the table.
        method: the method's name.
        config: its settings.
        folder: where its patches of each mark and its checkpoints are.
    """

    name: str
    method: str
    config: GeneratorConfig
    folder: Path


class Marks:
    """Draws and saves patches where a training would score an epoch; see `CheckpointScorer`."""

    distrust = ""

    def __init__(self, folder: Path, engine: Engine, per_class: int) -> None:
        self.folder, self.engine, self.per_class = folder, engine, per_class
        folder.mkdir(parents=True, exist_ok=True)

    def score(self, generator: Generator) -> dict[str, float]:
        """Save the patches of this step; no epoch is chosen."""
        labels = np.arange(len(generator.info.classes)).repeat(self.per_class)
        np.save(self.folder / f"{self.engine.global_step + 1:06d}.npy", draw(generator, labels, seed=0))
        return {}


def phantom(folder: Path, per_class: int, patients: int, size: int) -> PatchSet:
    """Draw the patches once: per patient and class a third each to train on, to compare with, and as the floor."""
    if not folder.exists():
        drawn = draw_patches(3 * per_class, (size, size), mpp=1.0, patients=patients)
        splits = np.resize(["train", "val", "test"], len(drawn.labels))
        with PatchSetWriter.create(folder, list(CLASSES), (size, size), 1.0) as writer:
            writer.add(drawn.images, label=drawn.labels, patient=list(drawn.patients))
            writer.finish({"step": "benchmark"}, split=list(splits))
    return PatchSet.open(folder)


def feature_spaces(out: Path, preset: str, data: PatchSet) -> dict[str, Extractor]:
    """Return the spaces by name; the classifier is trained once, on the training patches."""
    arm = out / "classifier"
    if not arm.exists():
        config = TrainClassifierConfig.make({**load_preset(preset)["train_classifier"], "seeds": 1, "arm": "baseline"})
        train_classifier.run(config, patches=out / "patches", model=arm)
    extractors = [load_classifier(arm, "cpu"), RandomFeatures(), PixelStatistics(data.split("val"))]
    return dict(zip(("classifier", "random convolutions", PIXELS), extractors, strict=True))


def prepare(name: str, method_name: str, out: Path, arguments: argparse.Namespace) -> Run:
    """Return a run with the settings of the preset, scored every `--every` steps."""
    method, variant = parse_title(method_name)
    sections = load_preset(arguments.preset)
    values = {**sections["train_generator"], **sections[f"train_generator.{method.name}"]}
    values |= {method.variant_parameter: variant} if variant else {}
    values |= {
        "epoch_steps": arguments.every,
        "epochs": -(-arguments.steps // arguments.every),
        "checkpoint_every": arguments.every,
        "select_from_epoch": 1,
        "fid_every": 1,
    }
    values |= {key: yaml.safe_load(value) for key, _, value in (text.partition("=") for text in arguments.set)}
    values.pop("method")
    return Run(name, method.name, method.config(values), out / "runs" / name.replace(":", "-").replace(" ", "-"))


def train(run: Run, data: PatchSet, guide: Guide | None, per_class: int) -> None:
    """Train on the training split until the last step and save patches at every mark, once."""
    done = run.folder / "done.json"
    settings = run.config.model_dump(mode="json")
    if done.exists() and json.loads(done.read_text()) == settings:
        return
    info = ModelInfo(
        kind="generator",
        method=run.method,
        config={"method": run.method, **run.config.model_dump()},
        classes=data.classes,
        patch_size=data.patch_size,
    )
    inputs: dict[str, Any] = {"guide": guide} if METHODS[run.method].guided else {}
    if METHODS[run.method].classifies:
        inputs["validation"] = data.split("val")
    for training in class_trainings(run.config, data.split("train"), info):
        _train_one(run, training, inputs, per_class)
    done.write_text(json.dumps(settings))


def _train_one(run: Run, training: ClassTraining, inputs: dict[str, Any], per_class: int) -> None:
    folder = run.folder / (training.folder or "all")
    engine = Engine(
        folder,
        identity={"patches": training.data.digest},  # a longer training continues a shorter one
        seed=0,
        checkpoint_every=run.config.checkpoint_every,
        label=training.label,
        stream=training.folder or "generator",
    )
    marks = Marks(folder / "marks", engine, per_class)
    METHODS[run.method].train(run.config, training.data, engine, marks, training.info, **inputs)


def marks(folder: Path) -> dict[int, Pixels]:
    """Return the patches of all classes by step, for the steps that every class has reached."""
    parts = sorted(part for part in folder.iterdir() if (part / "marks").is_dir())
    steps = [{int(path.stem) for path in (part / "marks").glob("*.npy")} for part in parts]
    return {
        step: np.concatenate([np.load(part / "marks" / f"{step:06d}.npy") for part in parts])
        for step in sorted(set.intersection(*steps))
    }


def measure(name: str, drawn: dict[int, Pixels], spaces: dict[str, Extractor], real: PatchSet) -> list[dict[str, Any]]:
    """Return one row per step and space."""
    rows = []
    for space, extractor in spaces.items():
        reference = extract_features(extractor, real)
        for step, pixels in drawn.items():
            features = extract_features(extractor, pixels)
            distances = {"FID": frechet_distance(reference, features), "KID": kernel_distance(reference, features)}
            if space == PIXELS:  # a cubic kernel of values that differ by orders of magnitude says nothing
                distances["KID"] = np.nan
            rows.append({"name": name, "step": step, "space": space, **distances})
    return rows


def floor_patches(data: PatchSet, per_class: int) -> Pixels:
    """Return as many unseen real patches of each class as a generator draws."""
    return np.concatenate([data.of_class(label).images()[:per_class] for label in range(len(data.classes))])


def save_picture(pixels: Pixels, classes: int, path: Path) -> None:
    """Save the first patches of each class, one row per class."""
    rows = [part[:SHOWN] for part in np.array_split(pixels, classes)]
    save_png(grid(np.concatenate(rows), SHOWN), path)


def write_table(curves: pd.DataFrame, path: Path) -> None:
    """Write the last mark of each curve, and the mark with the lowest FID, as a Markdown table."""
    lines = [HEADER]
    floor = curves[curves.name == "floor"].set_index("space")
    for (name, space), rows in curves.groupby(["name", "space"], sort=False):
        last, best = rows.iloc[-1], rows.loc[rows.FID.idxmin()]
        ratio = last.FID / floor.FID[space]
        lines.append(
            f"| {name} | {last.step:,} | {space} | {last.FID:.3g} | {ratio:.1f} | {best.FID:.3g}, {best.step:,} | "
            f"{'' if np.isnan(last.KID) else format(1000 * last.KID, '.3g')} |"
        )
    path.write_text("\n".join(lines) + "\n")


def plot(curves: pd.DataFrame, path: Path) -> None:
    """Plot FID against steps, one panel per space, with the floor as a line."""
    spaces = list(curves.space.unique())
    figure, axes = plt.subplots(1, len(spaces), figsize=(4.5 * len(spaces), 3.6), squeeze=False)
    for axis, space in zip(axes[0], spaces, strict=True):
        here = curves[curves.space == space]
        axis.axhline(here.FID[here.name == "floor"].iloc[0], color="black", linestyle=":", label="real patches")
        for name, points in here[here.name != "floor"].groupby("name", sort=False):
            axis.plot(points.step, points.FID, marker="o", markersize=3, label=name)
        axis.set(yscale="log", title=space, xlabel="steps", ylabel="FID")
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def train_guide(out: Path, preset: str) -> Guide:
    """Return the guide of the methods that need one, trained once on patches alone."""
    folder = out / "guide"
    if not folder.exists():
        values = {**load_preset(preset)["finetune_snn"], "stage1": False}
        finetune_snn.run(FinetuneSnnConfig.make(values), patches=out / "patches", guide=folder)
    return load_guide(folder, torch.device("cpu"), torch.float32)


def main() -> None:
    """Train, measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=["histogan", "ddpm"], help="such as histogan or rleo:policy")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--every", type=int, default=500, help="steps between marks")
    parser.add_argument("--name", default="", help="name of the curve, if it is only one")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings other than the preset's")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--size", type=int, default=48, help="px")
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--per-class", type=int, default=1500, help="training patches of each class")
    parser.add_argument("--drawn", type=int, default=256, help="patches of each class at a mark, and of the floor")
    parser.add_argument("--out", type=Path, default=Path("runs/learning-curves"))
    arguments = parser.parse_args()
    out = arguments.out
    data = phantom(out / "patches", arguments.per_class, arguments.patients, arguments.size)
    spaces = feature_spaces(out, arguments.preset, data)
    for method in arguments.methods:
        run = prepare(arguments.name or method, method, out, arguments)
        guide = train_guide(out, arguments.preset) if METHODS[run.method].guided else None
        train(run, data, guide, arguments.drawn)
        (run.folder / "name.txt").write_text(run.name)
    report(out, data, spaces, arguments.drawn)


def report(out: Path, data: PatchSet, spaces: dict[str, Extractor], per_class: int) -> None:
    """Measure every run below `out`, and write the table, the figure and the pictures."""
    real, floor = data.split("val"), floor_patches(data.split("test"), per_class)
    rows = measure("floor", {0: floor}, spaces, real)
    save_picture(floor, len(data.classes), out / "pictures" / "real.png")
    for path in sorted((out / "runs").glob("*/name.txt"), key=lambda path: path.stat().st_mtime):
        drawn = marks(path.parent)
        rows += measure(path.read_text(), drawn, spaces, real)
        for step, pixels in drawn.items():
            save_picture(pixels, len(data.classes), out / "pictures" / f"{path.parent.name}-{step:06d}.png")
    curves = pd.DataFrame(rows)
    curves.to_csv(out / "curves.csv", index=False)
    write_table(curves, out / "curves.md")
    plot(curves, out / "curves.png")
    print(surroundings(["torch", "diffusers"]))
    print((out / "curves.md").read_text())


if __name__ == "__main__":
    main()
