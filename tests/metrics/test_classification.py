"""Classification scores against scikit-learn, plain and weighted, and what happens where a class is missing."""

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from histoforge.metrics.classification import SCORES, Predictions, class_statistics, classification_metrics, statistic


def predictions(n: int, classes: int, seed: int = 0, decimals: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that know something of them; few decimals make ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    scores = rng.normal(size=(n, classes)) + np.eye(classes)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    if classes == 2:
        probabilities[:, 1] = probabilities[:, 1].round(decimals)
        probabilities[:, 0] = 1 - probabilities[:, 1]
    return probabilities, labels


@pytest.mark.parametrize("decimals", [8, 1])
def test_two_classes_equal_scikit_learn(decimals):
    probabilities, labels = predictions(200, 2, decimals=decimals)
    called = probabilities.argmax(1)
    result = classification_metrics(probabilities, labels, ["normal", "tumour"])
    assert result.accuracy == pytest.approx(sk.accuracy_score(labels, called))
    assert result.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, called))
    assert result.auc == pytest.approx(sk.roc_auc_score(labels, probabilities[:, 1]))
    assert result.sensitivity == pytest.approx(sk.recall_score(labels, called))
    assert result.specificity == pytest.approx(sk.recall_score(labels, called, pos_label=0))
    assert result.precision == pytest.approx(sk.precision_score(labels, called))
    assert result.f1 == pytest.approx(sk.f1_score(labels, called))
    assert result.brier == pytest.approx(sk.brier_score_loss(labels, probabilities[:, 1]))
    assert result.macro.f1 == pytest.approx(sk.f1_score(labels, called, average="macro"))
    assert result.averaging == "positive class 'tumour'"
    np.testing.assert_array_equal(result.confusion, sk.confusion_matrix(labels, called))


def test_more_classes_equal_scikit_learns_macro_means():
    probabilities, labels = predictions(300, 4)
    called = probabilities.argmax(1)
    result = classification_metrics(probabilities, labels, list("abcd"))
    assert result.auc == pytest.approx(sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"))
    assert result.sensitivity == pytest.approx(sk.recall_score(labels, called, average="macro"))
    assert result.precision == pytest.approx(sk.precision_score(labels, called, average="macro"))
    assert result.f1 == pytest.approx(sk.f1_score(labels, called, average="macro"))
    assert result.brier == pytest.approx(sk.brier_score_loss(labels, probabilities))
    specificities = [sk.recall_score(labels == c, called == c, pos_label=0) for c in range(4)]
    assert result.specificity == pytest.approx(np.mean(specificities))
    np.testing.assert_allclose([row.specificity for row in result.classes], specificities)
    np.testing.assert_allclose(
        [row.sensitivity for row in result.classes], sk.recall_score(labels, called, average=None)
    )
    assert [row.n for row in result.classes] == np.bincount(labels).tolist()


@pytest.mark.parametrize("classes", [2, 3])
def test_weights_count_a_patch_as_often_as_if_it_were_there_so_often(classes):
    probabilities, labels = predictions(60, classes, seed=1, decimals=1)
    weights = np.random.default_rng(2).integers(0, 4, (3, 60))
    for name in SCORES:
        weighted = Predictions(probabilities, labels).score(name, weights.astype(float))
        for result, row in zip(weighted, weights, strict=True):
            repeated = np.repeat(np.arange(60), row)
            plain = statistic(name, probabilities[repeated], labels[repeated])(np.ones((1, len(repeated))))
            assert result == pytest.approx(plain[0]), name


@pytest.mark.parametrize("classes", [2, 4])
def test_f1_of_each_class_and_their_mean_equal_scikit_learns(classes):
    probabilities, labels = predictions(120, classes, seed=8)
    weights = np.random.default_rng(9).random((3, 120))
    results = np.stack([score(weights) for score in class_statistics("f1", probabilities, labels)], axis=1)
    for result, row in zip(results, weights, strict=True):
        called = probabilities.argmax(1)
        np.testing.assert_allclose(result[:-1], sk.f1_score(labels, called, average=None, sample_weight=row))
        assert result[-1] == pytest.approx(sk.f1_score(labels, called, average="macro", sample_weight=row))


def test_weighted_auc_equals_scikit_learn():
    probabilities, labels = predictions(80, 2, seed=3, decimals=1)
    weights = np.random.default_rng(4).random((2, 80))
    result = Predictions(probabilities, labels).score("auc", weights)
    expected = [sk.roc_auc_score(labels, probabilities[:, 1], sample_weight=row) for row in weights]
    np.testing.assert_allclose(result, expected)


@pytest.mark.parametrize("decimals", [8, 1])
def test_roc_curve_equals_scikit_learns_with_a_finite_first_threshold(decimals):
    probabilities, labels = predictions(60, 2, seed=5, decimals=decimals)
    (curve,) = classification_metrics(probabilities, labels, ["a", "b"]).roc
    false_rate, true_rate, thresholds = sk.roc_curve(labels, probabilities[:, 1])
    np.testing.assert_allclose(curve.false_positive_rate, false_rate)
    np.testing.assert_allclose(curve.true_positive_rate, true_rate)
    np.testing.assert_allclose(curve.thresholds[1:], thresholds[1:])
    assert np.isfinite(curve.thresholds).all()
    assert curve.name == "b"


def test_a_long_roc_curve_is_thinned_and_keeps_its_ends_and_area():
    probabilities, labels = predictions(3000, 2, seed=6)
    result = classification_metrics(probabilities, labels, ["a", "b"])
    curve = result.roc[0]
    assert len(curve.thresholds) <= 201
    assert (curve.false_positive_rate[0], curve.true_positive_rate[0]) == (0, 0)
    assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1, 1)
    assert np.trapezoid(curve.true_positive_rate, curve.false_positive_rate) == pytest.approx(result.auc, abs=0.01)


def test_calibration_error_of_a_known_case():
    """Four patches at confidence 0.8, two right: |0.5 - 0.8|; four at 0.6, all right: |1 - 0.6|."""
    confidence = np.array([0.8] * 4 + [0.6] * 4)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.array([0, 0, 1, 1, 0, 0, 0, 0])
    result = classification_metrics(probabilities, labels, ["a", "b"])
    assert result.calibration_error == pytest.approx((0.3 + 0.4) / 2)
    assert [(b.n, b.accuracy) for b in result.reliability] == [(4, 1.0), (4, 0.5)]
    assert all(b.low < b.confidence <= b.high + 1e-12 for b in result.reliability)


def test_a_class_without_patches_leaves_its_scores_none_with_the_reason():
    probabilities, labels = predictions(40, 3, seed=7)
    labels = np.where(labels == 2, 0, labels)
    result = classification_metrics(probabilities, labels, ["a", "b", "c"])
    assert result.auc is None
    assert result.balanced_accuracy is None
    assert result.classes[2].sensitivity is None
    assert result.accuracy is not None
    assert result.undefined["auc"] == "there are no patches of c"
    assert [curve.name for curve in result.roc] == ["a", "b"]
    json.dumps(result.model_dump(), allow_nan=False)


def test_a_class_never_predicted_has_precision_zero_not_none():
    probabilities = np.tile([0.9, 0.1], (6, 1))
    result = classification_metrics(probabilities, np.array([0, 0, 0, 1, 1, 1]), ["a", "b"])
    assert (result.precision, result.f1, result.sensitivity, result.specificity) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.array([[0.5, 0.5]]), np.array([2])),
        (np.array([[0.5, 0.6]]), np.array([0])),
        (np.array([[np.nan, 0.5]]), np.array([0])),
        (np.array([[1.5, -0.5]]), np.array([0])),
        (np.array([[0.5, 0.5]]), np.array([0, 1])),
        (np.zeros((0, 2)), np.zeros(0, int)),
    ],
)
def test_input_that_is_no_prediction_is_refused(probabilities, labels):
    with pytest.raises(ValueError, match=r"labels|probabilities|at least one patch"):
        classification_metrics(probabilities, labels, ["a", "b"])
