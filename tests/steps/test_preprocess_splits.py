"""The split keeps patients whole, puts every class into every split if possible, and is close to the ratios."""

import itertools

import numpy as np
import pytest

from histoforge.core.errors import SourceError
from histoforge.patches.splits import (
    SPLITS,
    check_every_class,
    check_given_split,
    fraction_of_each_class,
    split_by_group,
)


def random_patches(seed: int, patients: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Patients of very different sizes, each with one class or several."""
    rng = np.random.default_rng(seed)
    groups, labels = [], []
    for patient in range(patients):
        patient_classes = rng.choice(classes, size=rng.integers(1, classes + 1), replace=False)
        count = int(rng.integers(1, 120))
        groups += [f"p{patient:02d}"] * count
        labels += rng.choice(patient_classes, size=count).tolist()
    return np.array(groups), np.array(labels)


@pytest.mark.parametrize("seed", range(12))
def test_patients_stay_whole_and_every_class_is_in_every_split(seed: int) -> None:
    groups, labels = random_patches(seed, patients=30, classes=3)
    splits = split_by_group(groups, labels, ["a", "b", "c"], seed=seed)
    for patient in np.unique(groups):
        assert len(set(splits[groups == patient])) == 1
    for label, (split, ratio) in itertools.product(range(3), zip(SPLITS, (0.7, 0.1, 0.2), strict=True)):
        share = (splits[labels == label] == split).mean()
        assert share > 0
        assert abs(share - ratio) < 0.08


def test_split_depends_on_the_seed_and_not_on_the_order() -> None:
    groups, labels = random_patches(0, patients=20, classes=2)
    splits = split_by_group(groups, labels, ["a", "b"], seed=3)
    order = np.random.default_rng(1).permutation(len(groups))
    np.testing.assert_array_equal(split_by_group(groups[order], labels[order], ["a", "b"], seed=3), splits[order])
    others = [split_by_group(groups, labels, ["a", "b"], seed=seed) for seed in range(4, 8)]
    assert any((other != splits).any() for other in others)


@pytest.mark.parametrize("seed", range(40))
def test_a_split_is_found_exactly_where_there_is_one(seed: int) -> None:
    """Against all 3^n ways to place few patients."""
    rng = np.random.default_rng(seed)
    count, classes = int(rng.integers(3, 7)), int(rng.integers(2, 4))
    present = rng.random((count, classes)) < 0.6
    present[np.arange(count), rng.integers(0, classes, count)] = True
    present[rng.integers(0, count, classes), np.arange(classes)] = True
    possible = any(
        all(present[np.array(sides) == side].any(axis=0).all() for side in range(3))
        for sides in itertools.product(range(3), repeat=count)
    )
    groups, labels = np.nonzero(present)
    names = [str(label) for label in range(classes)]
    if not possible:
        with pytest.raises(SourceError, match="split"):
            split_by_group(groups.astype(str), labels, names, seed=seed)
        return
    splits = split_by_group(groups.astype(str), labels, names, seed=seed)
    check_every_class(labels, splits, names, SPLITS)


def test_one_patient_is_an_error_with_advice() -> None:
    with pytest.raises(SourceError, match=r"has 1 patient, .* at least 3: name the patients in a column 'patient'"):
        split_by_group(["p"] * 4, np.array([0, 1, 0, 1]), ["a", "b"])


def test_a_class_that_cannot_be_in_every_split_is_named_with_advice() -> None:
    groups, labels = ["p1", "p2", "p3", "p4", "p4"], np.array([0, 0, 0, 1, 0])
    with pytest.raises(SourceError, match=r"'rare' comes from 1 patient.* 'val' and 'test': .*split_by=slide"):
        split_by_group(groups, labels, ["common", "rare"])
    with pytest.raises(SourceError) as caught:
        split_by_group(groups, labels, ["common", "rare"], unit="slide")
    assert "split_by" not in str(caught.value)


def test_a_class_without_patches_is_named() -> None:
    with pytest.raises(SourceError, match="Class 'b' has no patches"):
        split_by_group(["p1", "p2", "p3"], np.array([0, 0, 0]), ["a", "b"])


def test_a_split_with_ratio_0_stays_empty() -> None:
    groups, labels = random_patches(2, patients=12, classes=2)
    splits = split_by_group(groups, labels, ["a", "b"], (0.8, 0.0, 0.2))
    assert set(splits) == {"train", "test"}
    assert set(split_by_group(["one"] * 2, np.array([0, 1]), ["a", "b"], (0.0, 0.0, 1.0))) == {"test"}


def test_splits_of_thousands_of_patients_are_close_to_the_ratios() -> None:
    labels = np.random.default_rng(0).integers(0, 2, 20_000)
    splits = split_by_group(np.arange(20_000).astype(str), labels, ["a", "b"])
    for label, (split, ratio) in itertools.product(range(2), zip(SPLITS, (0.7, 0.1, 0.2), strict=True)):
        assert abs((splits[labels == label] == split).mean() - ratio) < 1e-3


def test_fractions_keep_balance_and_are_nested() -> None:
    labels = np.array([0, 1] * 500 + [2])
    small, large = (fraction_of_each_class(labels, fraction, seed=1) for fraction in (0.1, 0.25))
    assert np.bincount(labels[small]).tolist() == [50, 50, 1]
    assert np.bincount(labels[large]).tolist() == [125, 125, 1]
    assert not (small & ~large).any()
    assert (fraction_of_each_class(labels, 0.1, seed=2) != small).any()


def test_a_patient_in_two_splits_of_the_source_is_named() -> None:
    check_given_split(["a", "a", "b"], ["train", "train", "test"])
    with pytest.raises(SourceError, match="patient 'b' is in .*'train' and 'test'"):
        check_given_split(["a", "b", "b"], ["train", "test", "train"])
