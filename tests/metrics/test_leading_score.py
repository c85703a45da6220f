"""The score that decides follows from the classes of the test split alone."""

import numpy as np
import pytest

from histoforge.evaluation.leading_score import leading_score


@pytest.mark.parametrize(
    ("counts", "score"),
    [
        ([40, 40], "accuracy"),
        ([40, 50], "accuracy"),
        ([40, 51], "balanced_accuracy"),
        ([51, 40, 45], "balanced_accuracy"),
        ([40, 0], "balanced_accuracy"),
    ],
)
def test_accuracy_decides_where_classes_are_even(counts, score):
    labels = np.repeat(np.arange(len(counts)), counts)
    chosen, reason = leading_score("auto", labels, [str(index) for index in range(len(counts))])
    assert chosen == score
    assert f"({min(counts)} to {max(counts)} patches each)" in reason


def test_a_given_score_is_kept():
    assert leading_score("accuracy", np.array([0, 0, 0, 1]), ["a", "b"]) == ("accuracy", "")
