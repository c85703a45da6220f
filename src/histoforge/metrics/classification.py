"""Scores of a classifier's probabilities on labelled patches: metrics, calibration, confusion matrix and ROC curves.

Every score is computed from weights over patches, [B, N] at once, so a bootstrap costs only a few matrix products and
the plain score is the case of equal weights.

With two classes, sensitivity, specificity, precision and F1 are those of the positive class, index 1. With more
classes, they are unweighted means over the classes, each against all others (macro, as in Table 1 of Xue et al. 2021),
and AUC is the macro mean of one-versus-rest AUCs. The macro means are also reported for two classes.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from histoforge.metrics.calibration import ReliabilityBin, expected_calibration_error, reliability
from histoforge.metrics.results import Floats, Result, Statistic, finite
from histoforge.metrics.roc import RocCurve, roc_curve, weighted_auc

SCORES = (
    "accuracy",
    "balanced_accuracy",
    "auc",
    "sensitivity",
    "specificity",
    "precision",
    "f1",
    "brier",
    "calibration_error",
)


class ClassScores(Result):
    """Scores of one class against all others, or their unweighted mean over classes; each 0 to 1.

    A score is None where it is undefined, because no patch or every patch belongs to the class.
    """

    name: str
    n: int
    sensitivity: float | None
    specificity: float | None
    precision: float | None
    f1: float | None
    auc: float | None


class ClassificationMetrics(Result):
    """All scores of one classifier on one set of patches.

    Attributes:
        n: number of patches.
        averaging: a sentence on how sensitivity, specificity, precision and F1 are averaged.
        accuracy, balanced_accuracy: share of patches classified correctly, and the mean of that share over classes.
        auc: area under the ROC curve; macro one-versus-rest for more than two classes.
        brier: mean squared error of the probabilities, 0 to 1 for two classes and 0 to 2 for more.
        calibration_error: expected calibration error over 15 equal bins of confidence, 0 to 1.
        macro: unweighted means over the classes.
        classes: one row per class.
        confusion: counts, with true classes as rows and predicted classes as columns.
        reliability: the bins of `calibration_error`.
        roc: one curve per class (for two classes, only that of the positive class).
        undefined: the reason for each score that is None, by the score's name.
    """

    n: int
    averaging: str
    accuracy: float | None
    balanced_accuracy: float | None
    auc: float | None
    sensitivity: float | None
    specificity: float | None
    precision: float | None
    f1: float | None
    brier: float | None
    calibration_error: float | None
    macro: ClassScores
    classes: list[ClassScores]
    confusion: list[list[int]]
    reliability: list[ReliabilityBin]
    roc: list[RocCurve]
    undefined: dict[str, str]


class Predictions:
    """Probabilities [N, C] and labels [N], prepared for weighted scores.

    Raises:
        ValueError: the shapes do not match, there are no patches, there are fewer than two classes, a label is outside
            the classes, or a row is not a probability distribution.
    """

    def __init__(self, probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
        self.probabilities = np.asarray(probabilities, np.float64)
        self.labels = np.asarray(labels, np.int64)
        _check(self.probabilities, self.labels)
        self.n_classes = self.probabilities.shape[1]
        self.predicted = self.probabilities.argmax(1)
        self._cells = np.eye(self.n_classes**2)[self.labels * self.n_classes + self.predicted]

    @cached_property
    def _squared_error(self) -> Floats:
        truth = np.eye(self.n_classes)[self.labels]
        return np.asarray(np.square(self.probabilities - truth).sum(1) / (2 if self.n_classes == 2 else 1))

    @cached_property
    def _auc(self) -> list[Statistic]:
        return [weighted_auc(self.labels == c, self.probabilities[:, c]) for c in range(self.n_classes)]

    def confusion(self, weights: Floats) -> Floats:
        """Return the weighted confusion matrices [B, C, C], true classes as rows, for weights [B, N]."""
        return (weights @ self._cells).reshape(-1, self.n_classes, self.n_classes)

    def per_class(self, name: str, weights: Floats) -> Floats:
        """Return one score of each class against all others, [B, C]; NaN where it is undefined."""
        if name == "auc":
            return np.stack([auc(weights) for auc in self._auc], axis=1)
        confusion = self.confusion(weights)
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        true, called = confusion.sum(2), confusion.sum(1)
        total = true.sum(1, keepdims=True)
        if name == "sensitivity":
            return _ratio(hits, true)
        if name == "specificity":
            return _ratio(total - true - called + hits, total - true)
        if name == "precision":
            return np.where(true > 0, np.nan_to_num(_ratio(hits, called)), np.nan)
        return np.where(true > 0, _ratio(2 * hits, true + called), np.nan)

    def score(self, name: str, weights: Floats) -> Floats:
        """Return one of `SCORES` for each row of weights [B, N]: [B], NaN where it is undefined."""
        if name == "accuracy":
            confusion = self.confusion(weights)
            return _ratio(np.trace(confusion, axis1=1, axis2=2), confusion.sum((1, 2)))
        if name == "brier":
            return _ratio(weights @ self._squared_error, weights.sum(1))
        if name == "calibration_error":
            return expected_calibration_error(self.probabilities, self.labels, weights)
        if name == "balanced_accuracy":
            return self.per_class("sensitivity", weights).mean(1)
        if name == "auc" and self.n_classes == 2:
            return self._auc[1](weights)
        scores = self.per_class(name, weights)
        return scores[:, 1] if self.n_classes == 2 else scores.mean(1)


def statistic(name: str, probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Statistic:
    """Return one of `SCORES` as a function of weights [B, N], for `bootstrap.PatientBootstrap`.

    Raises:
        ValueError: the score does not exist, or probabilities and labels do not match.
    """
    if name not in SCORES:
        raise ValueError(f"no score '{name}': one of {', '.join(SCORES)}")
    predictions = Predictions(probabilities, labels)
    return lambda weights: predictions.score(name, weights)


def class_statistics(name: str, probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> list[Statistic]:
    """Return a score of each class against all others, and its unweighted mean, as functions of weights [B, N].

    Args:
        name: 'sensitivity', 'specificity', 'precision', 'f1' or 'auc'.

    Raises:
        ValueError: probabilities and labels do not match.
    """
    predictions = Predictions(probabilities, labels)

    def of_class(label: int) -> Statistic:
        return lambda weights: predictions.per_class(name, weights)[:, label]

    classes = [of_class(label) for label in range(predictions.n_classes)]
    return [*classes, lambda weights: predictions.per_class(name, weights).mean(1)]


def classification_metrics(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], classes: list[str]
) -> ClassificationMetrics:
    """Compute all scores of probabilities [N, C] against labels [N].

    Raises:
        ValueError: the shapes do not match, a label is outside the classes, or a row is not a probability distribution.
    """
    predictions = Predictions(probabilities, labels)
    if len(classes) != predictions.n_classes:
        raise ValueError(f"{len(classes)} class names for {predictions.n_classes} columns of probabilities")
    once = np.ones((1, len(predictions.labels)))
    names = ("sensitivity", "specificity", "precision", "f1", "auc")
    table = {name: predictions.per_class(name, once)[0] for name in names}
    counts = np.bincount(predictions.labels, minlength=len(classes))
    rows = [
        ClassScores(name=label, n=int(counts[c]), **{name: finite(table[name][c]) for name in names})
        for c, label in enumerate(classes)
    ]
    macro = {name: finite(table[name].mean()) for name in names}
    scores = {name: finite(predictions.score(name, once)[0]) for name in SCORES}
    absent = [label for c, label in enumerate(classes) if not counts[c]]
    reason = f"there are no patches of {', '.join(absent)}"
    binary = len(classes) == 2
    shown = [1] if binary else range(len(classes))
    return ClassificationMetrics(
        n=len(predictions.labels),
        averaging=f"positive class '{classes[1]}'" if binary else f"macro mean over {len(classes)} classes",
        **scores,
        macro=ClassScores(name="macro", n=len(predictions.labels), **macro),
        classes=rows,
        confusion=predictions.confusion(once)[0].astype(int).tolist(),
        reliability=reliability(predictions.probabilities, predictions.labels),
        roc=[
            roc_curve(classes[c], predictions.labels == c, predictions.probabilities[:, c])
            for c in shown
            if 0 < counts[c] < counts.sum()
        ],
        undefined={name: reason for name, value in scores.items() if value is None},
    )


def _ratio(counts: Floats, totals: Floats) -> Floats:
    """Return counts / totals, NaN where a total is 0."""
    return np.divide(counts, totals, out=np.full(np.broadcast(counts, totals).shape, np.nan), where=totals > 0)


def _check(probabilities: Floats, labels: NDArray[np.int64]) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(f"probabilities {probabilities.shape} and labels {labels.shape} are not [N, C] and [N]")
    if not len(labels) or probabilities.shape[1] < 2:
        raise ValueError("scores need at least one patch and two classes")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError("labels lie outside the classes")
    if not np.allclose(probabilities.sum(1), 1, atol=1e-3) or (probabilities < 0).any():
        raise ValueError("rows of probabilities are not finite, not positive, or do not add up to 1")
