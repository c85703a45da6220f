"""The data-copying test by cells detects copying that the test over the whole space does not."""

import json

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist

from histoforge.metrics.copying import copying_by_cell, kmeans_cells
from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.memorisation import audit_memorisation

CENTRES = np.array([[0.0, 0, 0, 0], [30, 0, 0, 0], [0, 30, 0, 0]])


def draw(each: int, seed: int, spread: tuple[float, ...] = (1, 1, 1)) -> np.ndarray:
    """Three groups of `each` patches."""
    rng = np.random.default_rng(seed)
    return np.concatenate([c + s * rng.normal(size=(each, 4)) for c, s in zip(CENTRES, spread, strict=True)])


def group(each: int) -> np.ndarray:
    return np.repeat(["a", "b", "c"], each)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def copies_in_one_group_and_strays_in_the_others(training: np.ndarray, each: int) -> np.ndarray:
    fakes = draw(each, 3, (1, 1.6, 1.6))
    fakes[:each] = training[:each] + 0.01 * np.random.default_rng(4).normal(size=(each, 4))
    return fakes


def test_a_fresh_sample_is_innocent_in_every_cell():
    result = copying_by_cell(tensors(draw(80, 0), draw(120, 1), draw(60, 2)), [group(80), group(120), group(60)])
    assert [cell.name for cell in result.cells] == ["a", "b", "c"]
    assert result.copied == []
    assert abs(result.c_t) < 2
    assert result.p > 0.01
    assert result.compared == 1
    assert all(cell.nearer == pytest.approx(0.5, abs=0.15) for cell in result.cells)


def test_an_overfitted_sample_is_detected_in_every_cell():
    training = draw(120, 5)
    copies = training + 0.01 * np.random.default_rng(6).normal(size=training.shape)
    result = copying_by_cell(tensors(copies, training, draw(60, 7)), [group(120), group(120), group(60)])
    assert result.copied == ["a", "b", "c"]
    assert result.c_t < -8
    assert result.p < 1e-12


def test_copying_in_one_cell_is_detected_where_the_whole_space_looks_innocent():
    """The paper's point: strays elsewhere make up for copies here."""
    training, held = draw(120, 8), draw(60, 9)
    synthetic = copies_in_one_group_and_strays_in_the_others(training, 80)
    audit = audit_memorisation(EuclideanSpace(synthetic, training, held, "net"))
    assert not audit.copied
    assert audit.cells is not None
    assert [cell.n_synthetic for cell in audit.cells.cells] == [80, 80, 80]
    assert len(audit.cells.copied) == 1
    worst = min(audit.cells.cells, key=lambda cell: cell.z)
    assert worst.name == audit.cells.copied[0]
    assert worst.nearer > 0.99


def test_each_cell_equals_scipys_mann_whitney_with_distances_inside_the_cell():
    sets, names = (draw(40, 10), draw(70, 11), draw(30, 12)), (group(40), group(70), group(30))
    result = copying_by_cell(tensors(*sets), names)
    ps, zs = [], []
    for name in "abc":
        fake, train, held = (points[cells == name] for points, cells in zip(sets, names, strict=True))
        distances = cdist(fake, train).min(1), cdist(held, train).min(1)
        expected = stats.mannwhitneyu(*distances, alternative="less", method="asymptotic", use_continuity=False)
        ps.append(expected.pvalue)
        zs.append(stats.norm.ppf(expected.pvalue))
    np.testing.assert_allclose([cell.z for cell in result.cells], zs, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose([cell.p for cell in result.cells], _holm(ps))
    assert result.c_t == pytest.approx(np.mean(zs))
    assert result.p == pytest.approx(stats.norm.cdf(np.sum(zs) / np.sqrt(3)))


def test_cells_are_weighted_by_held_out_patches_and_small_ones_are_left_out():
    held = np.concatenate([draw(60, 13)[:60], draw(30, 14)[30:60], draw(9, 15)[18:27]])
    names = np.repeat(["a", "b", "c"], [60, 30, 9])
    result = copying_by_cell(tensors(draw(40, 16), draw(70, 17), held), [group(40), group(70), names])
    a, b, c = result.cells
    assert (c.nearer, c.z, c.p, c.n_held_out) == (None, None, None, 9)
    assert result.c_t == pytest.approx((60 * a.z + 30 * b.z) / 90)
    assert result.compared == pytest.approx(90 / 99)
    json.dumps(result.model_dump(), allow_nan=False)


def test_there_is_no_result_where_no_cell_has_enough_patches():
    result = copying_by_cell(tensors(draw(5, 18), draw(9, 19), draw(6, 20)), [group(5), group(9), group(6)])
    assert (result.c_t, result.p, result.compared, result.copied) == (None, None, 0, [])
    lonely = copying_by_cell(
        tensors(draw(30, 21), draw(30, 22)[:30], draw(30, 23)), [group(30), group(30)[:30], group(30)]
    )
    assert [cell.z is None for cell in lonely.cells] == [False, True, True]


def test_kmeans_finds_the_groups_of_the_training_patches_and_repeats_itself():
    sets = tensors(draw(60, 24), draw(90, 25), draw(55, 26))
    cells = kmeans_cells(sets, seed=1)
    assert [len(np.unique(cell_names)) for cell_names in cells] == [3, 3, 3]
    for cell_names, each in zip(cells, (60, 90, 55), strict=True):
        assert all(len(set(cell_names[index * each : (index + 1) * each])) == 1 for index in range(3))
    for cell_names, again in zip(cells, kmeans_cells(sets, seed=1), strict=True):
        np.testing.assert_array_equal(cell_names, again)
    assert kmeans_cells(tensors(draw(60, 27), draw(90, 28), draw(33, 29)[:99]), seed=1) is None


def test_classes_are_cells_too():
    training = draw(120, 30)
    fakes = copies_in_one_group_and_strays_in_the_others(training, 80)
    classes = (group(80), group(120), group(60))
    audit = audit_memorisation(EuclideanSpace(fakes, training, draw(60, 31), "net"), classes=classes)
    assert audit.by_class.copied == ["a"]
    assert audit_memorisation(EuclideanSpace(fakes, training, draw(60, 31), "net")).by_class is None


def _holm(ps: list[float]) -> np.ndarray:
    order = np.argsort(ps)
    adjusted = np.maximum.accumulate(np.array(ps)[order] * np.arange(len(ps), 0, -1)).clip(max=1)
    return adjusted[np.argsort(order)]
