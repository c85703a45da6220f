"""Test if an arm learned anything: compare it with a classifier that always gives the same answer.

A classifier that always names the most frequent class reaches the majority rate in accuracy, 1/C in balanced accuracy
and 0.5 in AUC. An arm learned if it is above that by a one-sided test over test patients and training runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoforge.metrics.classification import statistic
from histoforge.metrics.crossed_mean import CrossedMean, crossed_mean, excess
from histoforge.metrics.results import finite
from histoforge.metrics.scored_runs import Jackknife, ScoredRuns

CHECKED = ("accuracy", "balanced_accuracy", "auc")


@dataclass(frozen=True)
class ConstantClassifier:
    """A classifier that always names the most frequent class of the test split.

    Attributes:
        class_name: this class.
        scores: its accuracy (the majority rate), balanced accuracy and AUC by name; None where undefined.
    """

    class_name: str
    scores: dict[str, float | None]


class LearningTest:
    """Compares arms with the constant classifier on the same test patches.

    Args:
        labels: true classes of the test patches, [N].
        classes: class names.
        jackknife: leaves out the patients of these patches.

    Attributes:
        constant: the constant classifier.
    """

    def __init__(self, labels: NDArray[np.integer], classes: list[str], jackknife: Jackknife) -> None:
        answer = int(np.bincount(labels, minlength=len(classes)).argmax())
        probabilities = np.tile(np.eye(len(classes))[answer], (len(labels), 1))
        self._scored = {name: jackknife.score([statistic(name, probabilities, labels)]) for name in CHECKED}
        scores = {name: finite(float(runs.scores[0])) for name, runs in self._scored.items()}
        self.constant = ConstantClassifier(classes[answer], scores)

    def above(self, scored: Mapping[str, ScoredRuns], confidence: float = 0.95) -> dict[str, CrossedMean]:
        """Return by how much an arm is above the constant classifier in each of the checked scores.

        Args:
            scored: the arm's runs by score.
            confidence: coverage of the intervals.
        """
        return {name: crossed_mean(excess(scored[name], self._scored[name]), confidence) for name in CHECKED}


def learning_score(score: str) -> str:
    """Return the score by which an arm must have learned: 'auc' if it decides the answer, else balanced accuracy.

    Accuracy does not serve: where classes are uneven, an arm that learned can still be below the majority rate.
    """
    return "auc" if score == "auc" else "balanced_accuracy"
