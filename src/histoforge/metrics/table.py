"""The table of metrics: the one place where a metric of generators is registered. Imports no torch.

From an entry follow the computation in `score_generator` and `evaluate`, the values in their JSON files, the column of
the leaderboard, and the numbers in Kubeflow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from histoforge.core.registry import Registry

INTEGER, TWO_DECIMALS, THREE_DECIMALS, FOUR_DIGITS = ",.0f", ",.2f", ",.3f", ",.4g"
"""Formats of numbers."""


@dataclass(frozen=True)
class Metric:
    """A metric of generators.

    A metric of features has a function that computes it from a `metrics.generative.FeatureComparison`; it is computed
    with every extractor. The value of any other metric is computed by a step, and `source` names it.

    Attributes:
        name: its key in JSON files and in Kubeflow.
        title: heading of its column.
        best: whether lower or higher is better; '' if neither is.
        format: format of its values, as `format` takes it.
        description: what it measures, in one sentence.
        compute: 'package.module:function'; the function returns a float, or None with too few samples.
        source: attributes of `evaluation.generator_scores.GeneratorScores` that lead to the value, joined by full
            stops; 'downstream.<use>.<score>' for classifiers trained on the generator's patches; '' for a metric of
            features, whose value for the leaderboard is that of the judge.
        scale: factor on the value where it is displayed.
        main: whether it is a column of the main table.
        for_variants: whether variants of a method, such as rewards, are compared by it.
        phrase: completes the sentence 'the method with the best mean has …'; '' if the page has no such sentence.
        unit: text that follows the value in a sentence.
    """

    name: str
    title: str
    best: Literal["lower", "higher", ""]
    format: str
    description: str
    compute: str = ""
    source: str = ""
    scale: float = 1.0
    main: bool = True
    for_variants: bool = False
    phrase: str = ""
    unit: str = ""

    @property
    def function(self) -> Callable[[Any], float | None]:
        """The function of a metric of features. Imports torch."""
        module, _, name = self.compute.partition(":")
        function: Callable[[Any], float | None] = getattr(import_module(module), name)
        return function

    def scaled(self, value: float | None) -> float | None:
        """Return a value as it is displayed; None stays None."""
        return None if value is None else float(value) * self.scale


_GENERATIVE = "histoforge.metrics.generative"

METRICS = Registry(
    "metric",
    [
        Metric(
            "fid", "FID", "lower", TWO_DECIMALS, "Frechet distance between Gaussians fitted to the features",
            compute=f"{_GENERATIVE}:fid", for_variants=True, phrase="the lowest FID",
        ),
        Metric(
            "kid", "KID x 1000", "lower", TWO_DECIMALS, "squared maximum mean discrepancy of the features, unbiased",
            compute=f"{_GENERATIVE}:kid", scale=1000, for_variants=True, phrase="the lowest KID",
        ),
        Metric(
            "precision", "Precision", "higher", THREE_DECIMALS, "share of synthetic patches that lie among real ones",
            compute=f"{_GENERATIVE}:precision", for_variants=True, phrase="the highest precision",
        ),
        Metric(
            "recall", "Recall", "higher", THREE_DECIMALS, "share of real patches that lie among synthetic ones",
            compute=f"{_GENERATIVE}:recall", for_variants=True, phrase="the highest recall",
        ),
        Metric(
            "density", "Density", "higher", THREE_DECIMALS, "how densely real patches surround the synthetic ones",
            compute=f"{_GENERATIVE}:density", main=False,
        ),
        Metric(
            "coverage", "Coverage", "higher", THREE_DECIMALS,
            "share of real patches that have a synthetic one in their neighbourhood",
            compute=f"{_GENERATIVE}:coverage", main=False,
        ),
        Metric(
            "clipped_density", "Clipped density", "higher", THREE_DECIMALS,
            "share of good synthetic patches by density, each counted at most once (Salvy et al. 2025)",
            compute=f"{_GENERATIVE}:clipped_density", main=False,
        ),
        Metric(
            "clipped_coverage", "Clipped coverage", "higher", THREE_DECIMALS,
            "share of good synthetic patches that would cover the real ones as well (Salvy et al. 2025)",
            compute=f"{_GENERATIVE}:clipped_coverage", main=False,
        ),
        Metric(
            "cmmd", "CMMD", "lower", TWO_DECIMALS,
            "squared maximum mean discrepancy with a Gaussian kernel of features of length 1, x 1000, unbiased, for "
            "small sets (Jayasumana et al. 2024, who use CLIP)",
            compute=f"{_GENERATIVE}:cmmd", main=False,
        ),
        Metric(
            "told_from_real", "Told from real", "lower", TWO_DECIMALS,
            "AUC of a small classifier that tells synthetic from held-out real patches, 0.5 is chance",
            source="realism.two_sample.auc",
        ),
        Metric(
            "accuracy_synthetic", "Accuracy, synthetic", "higher", THREE_DECIMALS,
            "accuracy on the real test split of classifiers trained only on synthetic patches",
            source="downstream.synthetic.accuracy", for_variants=True,
            phrase="the most accurate classifiers from synthetic patches alone",
        ),
        Metric(
            "accuracy_both", "Accuracy, with real", "higher", THREE_DECIMALS,
            "accuracy on the real test split of classifiers trained on real and synthetic patches",
            source="downstream.both.accuracy", for_variants=True,
            phrase="the most accurate classifiers from real and synthetic patches",
        ),
        Metric(
            "macro_accuracy", "Macro accuracy", "higher", THREE_DECIMALS,
            "mean over the classes of the accuracy of classifiers trained only on synthetic patches",
            source="downstream.synthetic.macro_accuracy", main=False,
        ),
        # Path lengths have no better end: a short one may be a sign of collapse.
        Metric(
            "path_length", "Path length", "", FOUR_DIGITS, "the RL-EO paper's path length in latent space",
            source="paths.path_length",
        ),
        Metric(
            "ppl", "PPL", "", FOUR_DIGITS, "perceptual path length (Karras et al. 2019)", source="paths.ppl",
            for_variants=True,
        ),
        Metric(
            "spread", "Spread", "", TWO_DECIMALS,
            "mean distance between two synthetic patches, divided by that between two real ones",
            source="diversity.spread", main=False,
        ),
        Metric(
            "distinct", "Distinct", "", TWO_DECIMALS,
            "number of different real patches that synthetic ones are nearest to, per synthetic patch",
            source="diversity.distinct", main=False,
        ),
        Metric(
            "block_edges", "Block edges", "", TWO_DECIMALS,
            "gradient energy at the borders of 8 px blocks, divided by that elsewhere (1: no grid is visible)",
            source="block_edges",
        ),
        Metric(
            "label_accuracy", "Micro", "higher", THREE_DECIMALS,
            "share of synthetic patches in which a classifier trained on real patches finds their class",
            source="labels.micro", main=False,
        ),
        Metric(
            "label_f1", "Macro F1", "higher", THREE_DECIMALS, "the same as a mean F1 over the classes",
            source="labels.f1", main=False,
        ),
        Metric(
            "seconds_per_thousand", "s per thousand", "lower", TWO_DECIMALS, "time to draw 1,000 patches, in seconds",
            source="drawing.seconds_per_thousand", phrase="the fastest drawing", unit="s per thousand patches",
        ),
        Metric(
            "peak_memory_mb", "MB", "", INTEGER, "peak memory while drawing, in MB", source="drawing.peak_memory_mb",
        ),
        Metric(
            "training_seconds", "Training", "", INTEGER, "training time, in seconds", source="training_seconds",
            main=False,
        ),
    ],
    group="histoforge.metrics",
)  # fmt: skip


def feature_metrics() -> list[Metric]:
    """Return the metrics that are computed from features, in the order of their registration."""
    return [metric for metric in METRICS.values() if metric.compute]
