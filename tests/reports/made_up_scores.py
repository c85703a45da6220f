"""Leaderboards of random features, computed by the package's own metrics."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from histoforge.evaluation.findings import PictureFile
from histoforge.evaluation.generator_scores import Digests, Drawing, GeneratorScores, LabelScores
from histoforge.evaluation.leaderboard_findings import (
    Downstream,
    LeaderboardEntry,
    LeaderboardFindings,
    MethodsMap,
    Spread,
)
from histoforge.evaluation.realism import Realism
from histoforge.metrics.diversity import diversity
from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.generative import generative_metrics
from histoforge.metrics.memorisation import audit_memorisation
from histoforge.metrics.path_length import PathLengths
from histoforge.metrics.table import METRICS
from histoforge.metrics.two_sample import TwoSampleTest

CLASSES = ["benign", "invasive"]
N, D = 60, 6
FAR = {
    "dcgan": 1.0, "improved_dcgan": 0.8, "lsgan": 1.2, "rleo:literal": 0.8, "rleo:policy": 0.5, "rleo:soft_target": 0.6,
}  # fmt: skip
UNGUIDED = ("rleo:literal", "improved_dcgan")
EPOCHS = [1.0, 2.0, 3.0, 4.0]
GUIDE = {
    "name": "mft_snn 0123abcd",
    "warnings": ["Stage 1 was left out (stage1=false): the guide has seen patches alone"],
    "stages": [{"name": "stage-1", "layers": 8, "decoder": True, "steps": 100, "epochs": []}],
    "pairs": {
        "pairs": 400, "patients": 9, "threshold": 0.9, "finding": "Similarity falls with the level.",
        "accuracy": {"value": 0.8, "low": 0.75, "high": 0.86}, "auc": {"value": 0.88, "low": None, "high": None},
        "roc": {"false_positive_rate": [0.0, 0.2, 1.0], "true_positive_rate": [0.0, 0.8, 1.0]},
        "levels": [
            {"level": level, "about": about, "pairs": 100, "mean": 0.9 - level / 10, "deviation": 0.05}
            for level, about in enumerate(["augmented", "same slide", "other patient"])
        ],
    },
    "ablations": {"patches_only": {"about": "one stage", "pairs": {"accuracy": {"value": 0.7}, "levels": []}}},
    "inference": {"batch": 64, "seconds": 0.1, "images_per_second": 640.0, "macs_per_image": 1_250_000},
}  # fmt: skip


@cache
def make_scores(
    name: str,
    seed: int,
    far: float = 1.0,
    spread: float = 1.0,
    walked: bool = True,
    classes: tuple[str, ...] = tuple(CLASSES),
) -> GeneratorScores:
    """Return the scores of a generator whose features lie `far` from the real ones and vary by `spread`."""
    rng = np.random.default_rng([seed, len(name), *name.encode()])
    labels = np.arange(N) % len(classes)
    real, held_out = rng.normal(0, 1, (2, N, D))
    fake = far * (1 + seed / 20) + rng.normal(0, spread, (N, D))
    method, _, reward = name.partition(":")
    first, judge = "resnet18 (baseline, seed 0) aaaa", "resnet18 (baseline, seed 1) bbbb"
    paths = PathLengths(
        distance=f"squared distance of unit features, {judge}", pairs=500, path_length=far / 10,
        path_deviation=0.01, steps=10, ppl=far * 100, ppl_deviation=3, epsilon=1e-4, interpolation="slerp",
    )  # fmt: skip
    micro = 0.9 - far / 10
    return GeneratorScores(
        name=name,
        method=method,
        reward=reward,
        seed=seed,
        classes=list(classes),
        patch_size=(64, 64),
        digests=Digests(
            generator=f"{name}{seed}", weights=f"w{seed}" if name in UNGUIDED else name, patches="p" * 64,
            samples=f"s{name}{seed}", extractor="e" * 64,
        ),
        judge=judge,
        independent=True,
        generative=[generative_metrics(real, fake, extractor) for extractor in (first, judge)],
        held_out=[generative_metrics(real, held_out, extractor) for extractor in (first, judge)],
        labels=LabelScores(
            classifier=first, n=N, micro=micro, precision=micro, recall=micro - 0.01, f1=micro - 0.02,
            classes=[(class_name, N // len(classes), micro, micro, micro) for class_name in classes],
        ),
        block_edges=1 + far / 10,
        paths=paths if walked else None,
        paths_note="" if walked else f"{method} has no latent space to walk",
        diversity=diversity(real, labels, fake, labels, list(classes), judge),
        realism=Realism(
            subset="synthetic", features="made up", two_sample=told_apart(0.6 + far / 10),
            real_two_sample=told_apart(0.5), classes=[], judge=judge, judge_selected=False,
        ),
        memorisation=audit_memorisation(EuclideanSpace(fake, real, held_out, judge)),
        drawing=Drawing(
            count=N, by_class=dict.fromkeys(classes, N // 2), seconds_per_thousand=far, batch_size=128,
            peak_memory_mb=1000 * far, memory_of="process", device="processor", precision="bfloat16",
        ),
        training_seconds=60 * far,
        training_steps=1000,
        parameters={"generator": 3_500_000},
        warnings=[],
    )  # fmt: skip


def told_apart(auc: float) -> TwoSampleTest:
    """Return a two-sample test with this AUC."""
    return TwoSampleTest(auc=auc, low=auc - 0.02, high=min(1.0, auc + 0.02), accuracy=auc, patches=N, patients=8)


def make_entry(
    name: str, far: float, seeds: int = 3, picture: Path | None = None, **scores: object
) -> LeaderboardEntry:
    """Return a method with several seeds, classifiers and curves."""
    by_seed = [make_scores(name, seed, far, **scores) for seed in range(seeds)]
    downstream = {use: make_downstream(use, 0.85 - far / 10 + bonus, seeds) for use, bonus in (
        ("synthetic", 0.0), ("both", 0.05)
    )}  # fmt: skip
    curves = {
        f"{class_name}: {series}": (EPOCHS, [level - epoch * fall for epoch in EPOCHS])
        for class_name in CLASSES
        for series, level, fall in (
            ("fid", 300 * far, 40), ("reward", 0.1, -0.02), ("similarity", 0.4, -0.05), ("discriminator", 1.4, 0.1),
            ("generator", 0.7, -0.1), ("gradient_share", 0.3, 0.05), ("d_real", 0.9, 0.0), ("d_fake", 0.1, -0.05),
        )
    }  # fmt: skip
    grid = PictureFile(picture, f"Synthetic patches of {name}", f"{name}, seed 0.") if picture else None
    return LeaderboardEntry(name, by_seed, downstream, dict.fromkeys(range(seeds), curves), grid)


def make_downstream(use: str, level: float, seeds: int = 3) -> Downstream:
    """Return classifiers whose accuracy is close to a level."""
    spread = Spread.of({seed: level + seed / 100 for seed in range(seeds)})
    return Downstream(
        use=use, accuracy=spread, macro_accuracy=spread, accuracy_between=(level - 0.1, level + 0.1),
        macro_between=None, classes=dict.fromkeys(CLASSES, spread), classifiers=2 * seeds, note="",
    )  # fmt: skip


def make_leaderboard(
    far: Mapping[str, float] = FAR, seeds: int = 3, folder: Path | None = None, **scores: object
) -> LeaderboardFindings:
    """Return a leaderboard of methods, given the distance of each from the real patches."""
    picture = None
    if folder is not None:
        picture = folder / "grid.png"
        Image.effect_noise((600, 200), 60).convert("RGB").save(picture)
    entries = [make_entry(name, distance, seeds, picture, **scores) for name, distance in far.items()]
    entries.sort(key=lambda entry: entry.spread(METRICS["fid"]).mean or 0.0)
    rng = np.random.default_rng(0)
    return LeaderboardFindings(
        title="Which generator draws benign and invasive best?",
        subtitle="histoforge leaderboard, 2026-11-21: patches of 64x64 px at 0.5 um/px",
        classes=CLASSES,
        entries=entries,
        baseline=make_downstream("real", 0.88),
        judges=[entries[0].scores[0].judge],
        independent=True,
        confidence=0.95,
        units="patients",
        test_patches=900,
        test_units=12,
        map=MethodsMap(
            rng.normal(0, 9, (120, 2)).astype(np.float32),
            {entry.name: rng.normal(5, 9, (120, 2)).astype(np.float32) for entry in entries},
            entries[0].scores[0].judge,
        ),
        guide=GUIDE,
        guide_pictures=[],
        warnings=["There are 120 training patches, fewer than the requested 5,000."],
        settings=[("The generators", "{}")],
        provenance=[("Patch set", "p" * 64)],
    )
