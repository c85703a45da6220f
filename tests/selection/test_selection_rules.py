"""The rules: exact counts, ties, and Algorithm 1 as the paper writes it."""

import numpy as np
import pytest

from histoforge.core.errors import SelectionError
from histoforge.selection.rules import RULES
from histoforge.selection.select import select

CLASSES = ["a", "b"]


def pool(counts=(40, 24), seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    n = len(labels)
    return {"entropies": rng.random(n), "distances": rng.random(n), "confidences": rng.random(n), "labels": labels}


def choose(rule, scores, kept, threshold=0.6, seed=0):
    return select(rule, **scores, kept=np.array(kept), classes=CLASSES, threshold=threshold, seed=seed)


def algorithm_1(entropy, distance):
    """The two medians of Algorithm 1, strictly below each; the second is over the survivors of the first (A4-11)."""
    first = np.flatnonzero(entropy < np.median(entropy))
    return set(first[distance[first] < np.median(distance[first])])


def test_selective_augmentation_is_algorithm_1_where_nothing_is_tied_and_the_pool_is_four_times_what_is_kept():
    scores = pool()
    chosen = np.flatnonzero(choose("entropy_centroid", scores, [10, 6]).kept)
    expected = set()
    for label in (0, 1):
        rows = np.flatnonzero(scores["labels"] == label)
        expected |= set(rows[list(algorithm_1(scores["entropies"][rows], scores["distances"][rows]))])
    assert set(chosen) == expected


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kept", [[10, 6], [1, 0], [40, 24], [13, 23]])
def test_counts_are_exact(rule, kept):
    selection = choose(rule, pool(), kept, threshold=-1.0)
    labels = pool()["labels"]
    assert np.bincount(labels[selection.kept], minlength=2).tolist() == kept
    for label, size in ((0, 40), (1, 24)):
        assert sorted(selection.rank[labels == label]) == list(range(size))


@pytest.mark.parametrize("rule", ["entropy_centroid", "distance", "confidence"])
def test_among_equal_scores_the_first_in_the_pool_are_kept(rule):
    scores = pool()
    for name in ("entropies", "distances", "confidences"):
        scores[name] = np.full(64, 0.7)
    kept = choose(rule, scores, [10, 6]).kept
    assert np.flatnonzero(kept).tolist() == [*range(10), *range(40, 46)]


def test_the_second_step_ranks_only_the_survivors_of_the_first():
    entropy, distance = np.array([0.0, 0.1, 0.8, 0.9]), np.array([0.9, 0.5, 0.0, 0.1])
    scores = {"entropies": entropy, "distances": distance, "confidences": entropy, "labels": np.zeros(4, int)}
    selection = select("entropy_centroid", **scores, kept=np.array([1]), classes=["a"], threshold=0.0, seed=0)
    assert np.flatnonzero(selection.kept).tolist() == [1]
    assert selection.rank.tolist() == [1, 0, 2, 3]


def test_single_filtering_uses_the_distance_alone():
    scores = pool()
    kept = choose("distance", scores, [10, 0]).kept
    assert scores["distances"][kept].max() < np.delete(scores["distances"][:40], np.flatnonzero(kept)).min()


def test_random_selection_depends_on_the_seed_and_not_on_scores():
    first, second = choose("random", pool(seed=1), [10, 6]), choose("random", pool(seed=2), [10, 6])
    assert np.array_equal(first.kept, second.kept)
    assert not np.array_equal(first.kept, choose("random", pool(seed=1), [10, 6], seed=1).kept)


def test_confidence_keeps_the_most_confident_and_none_below_the_threshold():
    scores = pool()
    scores["confidences"] = np.concatenate([np.linspace(0, 1, 40), np.linspace(0, 0.7, 24)])
    kept = choose("confidence", scores, [10, 4]).kept
    assert np.flatnonzero(kept).tolist() == [*range(30, 40), *range(60, 64)]


def test_confidence_keeps_the_balance_of_the_classes_where_few_of_one_pass():
    scores = pool()
    scores["confidences"] = np.concatenate([np.linspace(0, 1, 40), np.linspace(0, 0.7, 24)])
    kept = choose("confidence", scores, [15, 9]).kept  # 4 of the second class pass, four ninths
    assert np.flatnonzero(kept).tolist() == [*range(34, 40), *range(60, 64)]


@pytest.mark.parametrize(("second", "class_name"), [(0.99, "a"), (0.4, "b")])
def test_a_threshold_above_all_confidences_of_a_class_is_refused(second, class_name):
    scores = pool()
    scores["confidences"] = np.concatenate([np.linspace(0, 0.995 - second, 40), np.linspace(0, second, 24)])
    message = rf"class '{class_name}' has a confidence above threshold=0.495 \(the highest is 0.[0-9]+\): lower"
    with pytest.raises(SelectionError, match=message):
        choose("confidence", scores, [10, 6], threshold=0.495)
