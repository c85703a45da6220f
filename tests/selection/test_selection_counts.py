"""Counts: whole numbers that add up, for any ratio and any pool."""

import numpy as np
import pytest

from histoforge.core.errors import SelectionError
from histoforge.selection.counts import balanced_counts, check_pool, first_step_count, kept_counts, pool_counts


@pytest.mark.parametrize(
    ("real", "ratio", "kept"),
    [
        ([1284, 410, 481, 472], 0.5, [642, 205, 240, 236]),  # the paper's; r N = 1323.5
        ([9, 7, 5], 0.5, [5, 3, 2]),  # r N = 10.5, the floors sum to 9
        ([10, 10], 0.5, [5, 5]),
        ([3, 3], 0.5, [2, 1]),
        ([7, 3], 1.0, [7, 3]),
        ([100, 0], 0.29, [29, 0]),  # 0.29 * 100 is 28.999… in binary
        ([5, 9], 2.5, [12, 23]),
    ],
)
def test_kept_counts_are_floors_and_the_rest_goes_to_the_largest(real, ratio, kept):
    assert kept_counts(np.array(real), ratio).tolist() == kept


def test_a_ratio_that_keeps_nothing_is_refused():
    with pytest.raises(SelectionError, match=r"ratio=0.01 keeps nothing of 20 .*at least 0.05"):
        kept_counts(np.array([12, 8]), 0.01)


def test_pool_counts_are_rounded_up():
    assert pool_counts(np.array([10, 3]), 2.5).tolist() == [25, 8]
    assert pool_counts(np.array([10, 3]), 2.0).tolist() == [20, 6]


@pytest.mark.parametrize(
    ("pool", "kept", "first"), [(400, 100, 200), (4, 1, 2), (800, 100, 283), (10, 10, 10), (7, 0, 0)]
)
def test_both_steps_keep_the_same_share(pool, kept, first):
    assert first_step_count(pool, kept) == first


@pytest.mark.parametrize(
    ("passed", "kept", "balanced"),
    [
        ([10, 6], [10, 6], [10, 6]),
        ([10, 3], [10, 6], [5, 3]),
        ([9, 1, 12], [30, 10, 12], [3, 1, 1]),
        ([7, 0], [7, 0], [7, 0]),  # no real patches of the second class
        ([100, 1], [100, 2], [50, 1]),
        ([10, 2], [100, 2], [10, 1]),  # a fifth of a patch, rounded up so that the class stays
        ([10, 0], [10, 6], [1, 0]),
    ],
)
def test_if_few_candidates_of_a_class_pass_every_class_keeps_fewer(passed, kept, balanced):
    assert balanced_counts(np.array(passed), np.array(kept)).tolist() == balanced


def test_a_pool_with_too_few_candidates_of_a_class_is_refused():
    check_pool(np.array([5, 5]), np.array([5, 4]), ["a", "b"])
    with pytest.raises(SelectionError, match="3 candidates of class 'b', and 4 are to be kept"):
        check_pool(np.array([5, 3]), np.array([5, 4]), ["a", "b"])
