"""Error rates of the answer with real trainings, where the truth is known because the added patches are.

    python benchmarks/trained_verdicts.py --out trained.jsonl [--studies 100]     # goes on where it stopped
    python benchmarks/trained_verdicts.py --out oral.jsonl --folder data/oral224 --studies 1

Each study draws new phantom patients (or divides those of a folder with labels.csv anew), and trains small classifiers
by the step `train_classifier`: on the training patches alone, and with patches of two "generators" that cannot help or
must help:

- resampled: training patches, drawn again at random;
- noise: smooth colour noise with labels at random, as of a generator that learnt nothing;
- planted: real patches of new patients, other ones from each generator.

The statistics are the product's own: balanced accuracy, `metrics.crossed`, and Holm's correction over the arms.
The truth by which coverage is counted is the mean difference over all studies; that of a resampled arm is 0.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest

from histoforge.classifiers.arms import load_arm
from histoforge.evaluation.comparisons import Planned, compare
from histoforge.evaluation.study import predict
from histoforge.metrics.classification import statistic
from histoforge.metrics.compare import MIN_SEEDS
from histoforge.metrics.scored_runs import Jackknife, ScoredRuns
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import DevicePatches
from histoforge.phantom.patches import draw_patches
from histoforge.steps import train_classifier
from histoforge.steps.train_classifier_config import TrainClassifierConfig

SCORE = "balanced_accuracy"
KINDS = ("resampled", "noise", "planted")
PARTS = {"train": 4, "val": 2, "test": 10, "planted": 16}
"""Patients of a study; of a folder, the same proportions of all its patients."""
PER_PATIENT = 6
"""Patches of each class and phantom patient."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Patches:
    """Labelled patches: uint8 [N, H, W, 3], int64 [N], and the patient of each, str [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]

    def rows(self, rows: NDArray) -> "Patches":
        """Return some of the patches."""
        return Patches(self.images[rows], self.labels[rows], self.patients[rows])

    def write(self, path: Path, classes: int, split: str = "") -> PatchSet:
        """Write a synthetic patch set, or a real one with the splits of `split_of`."""
        with PatchSetWriter.create(
            path, [f"class {n}" for n in range(classes)], self.images.shape[1:3], mpp=0.5, synthetic=not split
        ) as writer:
            splits = [name.partition(":")[0] for name in self.patients] if split else "train"
            writer.add(self.images, label=self.labels, patient=self.patients, split=splits)
            writer.finish({"step": "benchmark"})
        return PatchSet.open(path)


def phantom(number: int, side: int) -> Patches:
    """Draw the patients of a study; a patient's name begins with its part."""
    patients = sum(PARTS.values())
    drawn = draw_patches(PER_PATIENT * patients, (side, side), mpp=1.0, patients=patients, seed=number)
    return by_parts(Patches(drawn.images, drawn.labels, drawn.patients), np.random.default_rng(number))


def of_folder(folder: Path, side: int, number: int) -> Patches:
    """Divide the patients of a folder anew; images are shrunk to `side` px."""
    table = pd.read_csv(folder / "labels.csv")
    images = [
        Image.open(folder / path).convert("RGB").resize((side, side), Image.Resampling.BOX) for path in table.path
    ]
    labels = pd.Categorical(table["label"]).codes.astype(np.int64)
    patches = Patches(np.stack([np.asarray(image) for image in images]), labels, table["patient"].to_numpy(str))
    return by_parts(patches, np.random.default_rng(number))


def by_parts(patches: Patches, rng: np.random.Generator) -> Patches:
    """Name the patients 'train:…', 'val:…', 'test:…' and 'planted:…', in equal shares of each label."""
    names, shares = list(PARTS), np.cumsum(list(PARTS.values())) / sum(PARTS.values())
    part_of: dict[str, str] = {}
    for label in np.unique(patches.labels):
        patients = rng.permutation(np.unique(patches.patients[patches.labels == label]))
        patients = [patient for patient in patients if patient not in part_of]
        for place, patient in enumerate(patients):
            part_of[patient] = names[int(np.searchsorted(shares, (place + 0.5) / len(patients)))]
    named = np.array([f"{part_of[patient]}:{patient}" for patient in patches.patients])
    return Patches(patches.images, patches.labels, named)


def added(kind: str, patches: Patches, generator: int, rng: np.random.Generator) -> Patches:
    """Return the patches that a generator adds."""
    part = np.array([name.partition(":")[0] for name in patches.patients])
    train = np.flatnonzero(part == "train")
    if kind == "planted":
        planted = np.unique(patches.patients[part == "planted"])
        own = rng.permutation(planted)[generator::2] if len(planted) > 1 else planted
        return patches.rows(np.flatnonzero(np.isin(patches.patients, own)))
    drawn = patches.rows(rng.choice(train, 2 * len(train)))
    if kind == "resampled":
        return drawn
    field = gaussian_filter(rng.normal(size=drawn.images.shape), (0, 2, 2, 0))
    images = (170 + 40 * field / field.std()).clip(0, 255).astype(np.uint8)
    return Patches(images, rng.permutation(drawn.labels), drawn.patients)


@dataclass(frozen=True)
class Study:
    """A study in progress: its patches on disk, and how its classifiers are trained."""

    folder: Path
    patches: Patches
    real: PatchSet
    config: TrainClassifierConfig

    def classifiers(self, name: str, synthetic: Path | None) -> Iterator[NDArray[np.float64]]:
        """Train an arm, and yield the probabilities of its classifiers on the test patches."""
        seeds = self.config.seeds if synthetic else max(MIN_SEEDS, self.config.seeds)
        config = self.config.model_copy(update={"arm": name, "seeds": seeds})
        path = self.folder / f"arm-{name}-{synthetic.name if synthetic else ''}"
        train_classifier.run(config, patches=self.folder / "real", synthetic=synthetic, model=path)
        test = DevicePatches.load(self.real.split("test"), CPU)
        for classifier in load_arm(path, CPU):
            yield predict(classifier, test, 256, torch.float32)

    def scored(self, kind: str, generators: int, rng: np.random.Generator) -> ScoredRuns:
        """Train an arm with the patches of each generator (none for the baseline), and score its classifiers."""
        probabilities, origins = [], []
        for generator in range(generators) if kind != "baseline" else [None]:
            synthetic = None
            if generator is not None:
                synthetic = self.folder / f"{kind}-{generator}"
                # one permutation divides the planted patients among the generators
                seed = rng if kind != "planted" else np.random.default_rng(1)
                added(kind, self.patches, generator, seed).write(synthetic, len(self.real.classes))
            for values in self.classifiers(kind, synthetic):
                probabilities.append(values)
                origins.append(generator)
        test = self.real.split("test")
        statistics = [statistic(SCORE, values, test.labels) for values in probabilities]
        return Jackknife(test.index["patient"].to_numpy(str)).score(statistics, origins)


def run_study(
    number: int, patches: Patches, config: TrainClassifierConfig, generators: int, kinds: Sequence[str]
) -> dict:
    """Train and compare all arms of a study."""
    rng = np.random.default_rng(number)
    part = np.array([name.partition(":")[0] for name in patches.patients])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        classes = int(patches.labels.max()) + 1
        real = patches.rows(np.flatnonzero(part != "planted")).write(folder / "real", classes, split="by name")
        study = Study(folder, patches, real, config)
        scored = {name: study.scored(name, generators, rng) for name in ("baseline", *kinds)}
    effects = [each.effect for each in compare(scored, [Planned(kind, "baseline") for kind in kinds], SCORE)]
    arms = {
        kind: {"difference": effect.difference, "low": effect.low, "high": effect.high, "p": effect.p_adjusted}
        for kind, effect in zip(kinds, effects, strict=True)
    }
    return {"study": number, "baseline": float(scored["baseline"].scores.mean()), "arms": arms}


def table(results: Sequence[dict]) -> str:
    """Return the rates by kind of added patches."""
    lines = [
        f"{len(results)} studies, baseline {np.mean([result['baseline'] for result in results]):.3f} {SCORE}",
        "| added patches | mean difference | better (95% interval) | worse | coverage |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind in results[0]["arms"]:
        arms = [result["arms"][kind] for result in results]
        mean = np.mean([arm["difference"] for arm in arms])
        truth = 0.0 if kind == "resampled" else mean
        judged = [arm for arm in arms if arm["low"] is not None]
        clear = [np.sign(arm["difference"]) for arm in judged if arm["p"] is not None and arm["p"] < 0.05]
        better, worse = clear.count(1), clear.count(-1)
        low, high = binomtest(better, len(arms)).proportion_ci()
        covered = np.mean([arm["low"] <= truth <= arm["high"] for arm in judged]) if judged else float("nan")
        lines.append(
            f"| {kind} | {100 * mean:+.1f} | {better} of {len(arms)} ({low:.1%} to {high:.1%}) | {worse} | "
            f"{covered:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the studies that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file of finished studies, one JSON line each")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS, help="added patches, one arm each")
    parser.add_argument("--side", type=int, default=24, help="patch size, px")
    parser.add_argument("--generators", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--width", type=float, default=0.125)
    arguments = parser.parse_args()
    lines = arguments.out.read_text().splitlines() if arguments.out.exists() else []
    results = [json.loads(line) for line in lines]
    config = TrainClassifierConfig(
        backbone="resnet10",
        stem="small",
        width=arguments.width,
        epochs=arguments.epochs,
        seeds=arguments.seeds,
        batch_size=16,
        learning_rate=3e-3,
        patience=0,
        device="cpu",
        precision="float32",
    )
    for number in range(len(results), arguments.studies):
        side = arguments.side
        patches = of_folder(arguments.folder, side, number) if arguments.folder else phantom(number, side)
        results.append(run_study(number, patches, config, arguments.generators, arguments.kinds))
        with arguments.out.open("a") as file:
            file.write(json.dumps(results[-1]) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
