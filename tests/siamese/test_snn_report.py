"""The evaluation of pairs: threshold, accuracy, ROC, and claims about the levels."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from slides_of_patients import open_patients

from histoforge.core.errors import PatchSetError
from histoforge.siamese.evaluation import ScoredPairs, best_threshold, report_pairs, score_pairs
from histoforge.siamese.pairs import Augmentation, PairSource


def scored(similar, same_slide, other_patient, patients=8, count=400, seed=0, spread=0.05):
    """Pairs with these mean similarities by level (None for no such pairs)."""
    rng = np.random.default_rng(seed)
    means = [(level, mean) for level, mean in enumerate((similar, same_slide, other_patient)) if mean is not None]
    levels = np.repeat([level for level, _ in means], count)
    centres = np.repeat([mean for _, mean in means], count)
    names = np.array([f"p{number}" for number in range(patients)])
    return ScoredPairs(
        (centres + rng.normal(0, spread, len(levels))).clip(0, 1), levels, names[rng.integers(0, patients, len(levels))]
    )


def test_the_threshold_is_the_best_one_on_training_pairs():
    train = scored(0.9, 0.5, 0.4)
    threshold = best_threshold(train)
    similar = train.levels == 0

    def balanced(at):
        called = train.similarity >= at
        return (called[similar].mean() + (~called[~similar]).mean()) / 2

    assert balanced(threshold) == max(balanced(at) for at in np.linspace(0, 1, 2001))


def test_accuracy_and_auc_are_those_of_held_out_pairs_at_that_threshold():
    train, val = scored(0.8, 0.6, 0.5, spread=0.1), scored(0.75, 0.65, 0.6, seed=1, spread=0.1)
    report = report_pairs(train, val, seed=0)
    similar = val.levels == 0
    assert report.threshold == best_threshold(train)
    assert report.accuracy.value == pytest.approx(((val.similarity >= report.threshold) == similar).mean())
    assert report.auc.value == pytest.approx(roc_auc_score(similar, val.similarity))
    assert report.accuracy.low < report.accuracy.value < report.accuracy.high
    rates = report.roc.false_positive_rate, report.roc.true_positive_rate
    assert np.trapezoid(rates[1], rates[0]) == pytest.approx(report.auc.value, abs=0.01)
    assert [(level.level, level.pairs) for level in report.levels] == [(0, 400), (1, 400), (2, 400)]
    assert report.levels[1].mean == pytest.approx(val.similarity[val.levels == 1].mean())


@pytest.mark.parametrize(
    ("means", "claims"),
    [
        ((0.9, 0.6, 0.4), ["falls from level 0 to level 1", "falls from level 1 to level 2"]),
        ((0.9, 0.4, 0.6), ["falls from level 0 to level 1", "rises from level 1 to level 2"]),
        ((0.9, 0.5, 0.5), ["falls from level 0 to level 1", "from level 1 to level 2 no difference was found"]),
        ((0.9, None, 0.5), ["falls from level 0 to level 2", "there were no two patches of one slide"]),
    ],
)
def test_an_order_is_claimed_only_where_the_interval_shows_it(means, claims):
    finding = report_pairs(scored(*means), scored(*means, seed=2), seed=0).finding
    for claim in claims:
        assert claim in finding


@pytest.mark.parametrize("patients", [1, 2, 4])
def test_few_held_out_patients_give_no_interval_and_no_claim(patients):
    val = scored(0.9, 0.5, None, patients=patients)
    report = report_pairs(scored(0.9, 0.5, 0.5), val, seed=0)
    assert report.accuracy.low is None
    assert f"from level 0 to level 1 no interval can be given ({patients} patient" in report.finding


def test_held_out_pairs_without_dissimilar_ones_are_refused():
    with pytest.raises(PatchSetError, match="'val' split make no dissimilar pairs"):
        report_pairs(scored(0.9, 0.5, 0.5), scored(0.9, None, None), seed=0)


def test_every_network_is_evaluated_on_the_same_pairs(tmp_path):
    source = PairSource(open_patients(tmp_path / "p").split("val"), torch.device("cpu"), Augmentation(0.2, 0.2, 0.02))
    batches = []

    def embed(images):
        batches.append(images)
        return torch.nn.functional.normalize(images.flatten(1).abs(), dim=1)

    first, second = (score_pairs(embed, source, 200, seed=0) for _ in range(2))
    np.testing.assert_array_equal(first.similarity, second.similarity)
    assert torch.equal(torch.cat(batches[: len(batches) // 2]), torch.cat(batches[len(batches) // 2 :]))
    assert len(first.similarity) == 200
    assert (np.bincount(first.levels) / 200).tolist() == [0.5, 0.25, 0.25]
    assert first.similarity.max() <= 1
