"""The map of features: deterministic, subsampled, and keeping apart what is apart."""

import numpy as np
import pytest

from histoforge.metrics.tsne import embed


def groups() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"real": rng.normal(size=(40, 60)), "fake": rng.normal(size=(25, 60)) + 20}


def test_the_same_features_give_the_same_map_and_rows():
    first, second = embed(groups(), max_per_group=30), embed(groups(), max_per_group=30)
    for name in ("real", "fake"):
        np.testing.assert_array_equal(first[name].points, second[name].points)
        np.testing.assert_array_equal(first[name].rows, second[name].rows)
    assert first["real"].points.shape == (30, 2)
    np.testing.assert_array_equal(first["fake"].rows, np.arange(25))


def test_groups_that_are_apart_stay_apart():
    shown = embed(groups())
    centres = shown["real"].points.mean(0), shown["fake"].points.mean(0)
    spread = max(np.linalg.norm(shown[name].points - shown[name].points.mean(0), axis=1).max() for name in shown)
    assert np.linalg.norm(centres[0] - centres[1]) > spread


def test_an_empty_group_is_shown_as_empty_and_too_few_are_refused():
    features = np.random.default_rng(1).normal(size=(8, 3))
    assert embed({"selected": features, "rejected": np.zeros((0, 3))})["rejected"].points.shape == (0, 2)
    with pytest.raises(ValueError, match="at least five"):
        embed({"a": features[:2], "b": features[:2]})
