"""Classifier two-sample test: can synthetic patches be told from real ones (Lopez-Paz and Oquab 2017)?

A classifier is trained to tell two sets apart and tested on patches that it has not seen. Here it is a logistic
regression, so that it takes a second and needs few patches; a better classifier may tell sets apart that this one does
not. Deviation: real patches are grouped by patient, and the score is the area under the ROC curve (AUC) instead of the
accuracy, because it needs no threshold.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histoforge.core.seeds import numpy_rng
from histoforge.core.timings import spent
from histoforge.metrics.results import Result

Features = NDArray[np.float32]
Names = NDArray[np.object_]
Labels = NDArray[np.int64]

FOLDS = 5
MAX_PATCHES = 2000
MIN_PATCHES = 20
PENALTY = 0.1
CONFIDENCE = 0.95


class TwoSampleTest(Result):
    """Result of the two-sample test: a small classifier tells a set of patches from real ones.

    Attributes:
        auc: area under the ROC curve, the mean over patients; 0.5 is chance, 1 tells all patches apart. Below 0.5 the
            set resembles real patches more than these resemble those of other patients.
        low, high: 95% interval of the mean over patients (t distribution); None for fewer than two patients.
        accuracy: balanced accuracy, the mean over patients.
        patches: number of patches on each side.
        patients: number of patients of the real patches.
    """

    auc: float
    low: float | None
    high: float | None
    accuracy: float
    patches: int
    patients: int


@spent("compute")
def two_sample_test(
    synthetic: Features,
    real: Features,
    patients: Names,
    *,
    classes: tuple[Labels, Labels],
    groups: Names | None = None,
    seed: int = 0,
) -> TwoSampleTest | None:
    """Train classifiers to tell two sets of patches apart, and test them on patients that they have not seen.

    Equal numbers of each class are drawn from both sides, so that no class gives a set away.

    Args:
        synthetic: features [S, D] of the set to tell from real patches.
        real: features [R, D].
        patients: the patient of each real patch [R].
        classes: the class of each patch of both sides, int64 [S] and [R].
        groups: the patient of each patch of the set [S], if it is real too; None for synthetic patches.
        seed: seed of the draws and folds.

    Returns:
        None for fewer than two patients or 20 patches on a side.
    """
    rng = numpy_rng(seed, "two-sample test")
    rows, real_rows = _equal_numbers(*classes, rng)
    synthetic, real, patients = synthetic[rows], real[real_rows], patients[real_rows]
    names = np.unique(patients)
    if len(rows) < MIN_PATCHES or len(names) < 2:
        return None
    groups = np.arange(len(rows)).astype(object) if groups is None else groups[rows]
    folds = min(FOLDS, len(names), len(np.unique(groups)))
    if folds < 2:
        return None
    real_fold, fold = _folds(patients, folds), _folds(groups, folds)
    aucs, accuracies = [], []
    for number in range(folds):
        score, real_score = _scores(
            synthetic[fold != number], real[real_fold != number], synthetic[fold == number], real[real_fold == number]
        )
        for name in np.unique(patients[real_fold == number]):
            of_patient = real_score[patients[real_fold == number] == name]
            aucs.append(_auc(score, of_patient))
            accuracies.append(((score > 0).mean() + (of_patient <= 0).mean()) / 2)
    low, high = _interval(aucs)
    return TwoSampleTest(
        auc=float(np.mean(aucs)),
        low=low,
        high=high,
        accuracy=float(np.mean(accuracies)),
        patches=len(rows),
        patients=len(names),
    )


def _equal_numbers(first: Labels, second: Labels, rng: np.random.Generator) -> tuple[Labels, Labels]:
    """Draw equally many rows of each class from both sides, at most 2,000 in all."""
    chosen: tuple[list[Labels], list[Labels]] = ([], [])
    shared = np.intersect1d(first, second)
    for label in shared:
        of_class = [rng.permutation(np.flatnonzero(labels == label)) for labels in (first, second)]
        count = min(*(len(rows) for rows in of_class), MAX_PATCHES // len(shared))
        for rows, side in zip(of_class, chosen, strict=True):
            side.append(rows[:count])
    empty = [np.empty(0, np.int64)]
    return np.concatenate(chosen[0] or empty), np.concatenate(chosen[1] or empty)


def _folds(groups: Names, folds: int) -> Labels:
    """Return the fold of each patch; a group lies in one fold."""
    numbers = np.unique(groups, return_inverse=True)[1]
    result = np.empty(len(groups), np.int64)
    for fold, (_, rows) in enumerate(GroupKFold(folds).split(numbers, groups=numbers)):
        result[rows] = fold
    return result


def _scores(train: Features, train_real: Features, test: Features, test_real: Features) -> Sequence[Features]:
    """Return the log odds of being of the first set, of its test patches and of the real ones."""
    targets = np.repeat([1, 0], [len(train), len(train_real)])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=500, class_weight="balanced")).fit(
        np.concatenate([train, train_real]).astype(np.float64), targets
    )
    return [model.decision_function(part.astype(np.float64)) for part in (test, test_real)]


def _auc(positive: Features, negative: Features) -> float:
    """Return the probability that a positive score exceeds a negative one; ties count half (Mann and Whitney)."""
    return float(stats.mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative)))


def _interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the t interval of the mean, within [0, 1]."""
    if len(values) < 2:
        return None, None
    mean, error = np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5
    margin = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * error
    return float(max(0.0, mean - margin)), float(min(1.0, mean + margin))
