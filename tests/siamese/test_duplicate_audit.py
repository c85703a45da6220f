"""The duplicate audit finds copies and near copies, and leaves an innocent set alone."""

import json

import numpy as np
import pytest
from scipy import stats
from tiny_guide import noise, random_guide, write_set

from histoforge.siamese import duplicates
from histoforge.siamese.duplicates import audit_duplicates
from histoforge.siamese.exact_copies import PixelKeys, first_matches, pixel_keys
from histoforge.siamese.retrieval import FLIPS, embed_set


def draw(count: int, seed: int, dims: int = 8) -> np.ndarray:
    return unit(np.abs(np.random.default_rng(seed).normal(size=(count, dims))))


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def keys(*counts: int) -> PixelKeys:
    """Keys of patches that all differ."""
    numbers = np.arange(sum(counts), dtype=np.uint64)
    synthetic, training, held_out = np.split(numbers, np.cumsum(counts)[:-1])
    return PixelKeys([synthetic], training, held_out)


def audit_as_they_are(synthetic, training, held_out, of, **options):
    """The audit without flipped views."""
    return audit_duplicates([synthetic], [training], [held_out], of, **options)


def test_an_innocent_set_is_not_accused():
    audit, found = audit_as_they_are(draw(300, 0), draw(400, 1), draw(200, 2), keys(300, 400, 200), quantile=0.95)
    assert audit.enough
    assert not audit.copied
    assert audit.verdict.startswith("No signs of copying")
    assert audit.nearness.share == pytest.approx(0.05, abs=0.04)
    assert audit.nearness.more_similar == pytest.approx(0.5, abs=0.06)
    assert audit.within.share == pytest.approx(0.05, abs=0.04)
    assert [len(part) for part in (found.synthetic, found.held_out, found.training)] == [300, 200, 400]
    json.dumps(audit.model_dump(mode="json"), allow_nan=False)


def test_near_copies_are_flagged_and_paired_with_their_models():
    training, rng = draw(200, 3), np.random.default_rng(4)
    copies = unit(np.abs(training[50:70] + rng.normal(size=(20, 8)) * 0.003))
    audit, _ = audit_as_they_are(np.concatenate([draw(80, 5), copies]), training, draw(200, 6), keys(100, 200, 200))
    assert audit.copied
    assert audit.verdict.startswith("Signs of copying")
    assert {(pair.synthetic, pair.other) for pair in audit.nearness.flagged} >= {(80 + n, 50 + n) for n in range(20)}
    similarities = [pair.similarity for pair in audit.nearness.closest]
    assert similarities == sorted(similarities, reverse=True)
    assert len(similarities) == 12


def test_copies_are_seen_even_where_empty_patches_put_the_threshold_at_1():
    """Some patches of every kind are all alike, so that no similarity can be above the held-out ones'."""
    empty = np.repeat(draw(1, 30), 20, axis=0)
    training = np.concatenate([draw(100, 31), empty])
    copies = unit(np.abs(training[:100] + np.random.default_rng(32).normal(size=(100, 8)) * 0.003))
    parts = np.concatenate([copies, empty]), training, np.concatenate([draw(80, 33), empty])
    audit, found = audit_as_they_are(*parts, keys(120, 120, 100))
    assert (audit.nearness.threshold, audit.nearness.share) == (pytest.approx(1, abs=1e-6), 0)
    expected = stats.mannwhitneyu(found.synthetic, found.training, alternative="greater", use_continuity=False)
    assert audit.nearness.more_similar_than_training == pytest.approx(expected.statistic / 120**2)
    assert audit.nearness.p_than_training == pytest.approx(expected.pvalue)
    assert audit.copied
    innocent = np.concatenate([draw(100, 34), empty])
    assert not audit_as_they_are(innocent, *parts[1:], keys(120, 120, 100))[0].copied


def test_the_threshold_is_the_quantile_of_held_out_patches_by_definition():
    synthetic, training, held = draw(60, 7), draw(90, 8), draw(50, 9)
    audit, found = audit_as_they_are(synthetic, training, held, keys(60, 90, 50), quantile=0.9)
    usual = np.sort((held.astype(np.float64) @ training.T).max(1))
    nearest = (synthetic.astype(np.float64) @ training.T).max(1)
    assert audit.nearness.threshold == pytest.approx(usual[45], abs=1e-6)
    assert audit.nearness.share == pytest.approx((nearest > usual[45] + 1e-7).mean())
    assert audit.nearness.held_out_share == pytest.approx(4 / 50)
    np.testing.assert_allclose(found.synthetic, nearest, rtol=1e-6)
    others = training.astype(np.float64) @ training.T
    np.fill_diagonal(others, -1)
    np.testing.assert_allclose(found.training, others.max(1), rtol=1e-6)


def test_a_set_that_repeats_itself_is_seen_among_equal_numbers(monkeypatch):
    """Five motifs drawn again and again: all near each other, whatever they are to the training patches."""
    rng = np.random.default_rng(10)
    motifs = unit(np.abs(draw(5, 11)[rng.integers(0, 5, 120)] + rng.normal(size=(120, 8)) * 0.002))
    audit, _ = audit_as_they_are(motifs, draw(400, 12), draw(100, 13), keys(120, 400, 100))
    assert audit.within.n == 120
    assert audit.within.share > 0.9
    both = [(pair.synthetic, pair.other) for pair in audit.within.closest]
    assert len(set(both)) == len(both) == 12
    assert all(later > earlier for later, earlier in both)
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 40)
    less, found = audit_as_they_are(motifs, draw(400, 12), draw(100, 13), keys(120, 400, 100))
    assert (less.within.n, len(found.training)) == (40, 40)
    assert less.nearness.share == audit.nearness.share


def test_the_same_pixels_are_found_everywhere(tmp_path):
    images = noise(30, 14)
    real = write_set(tmp_path / "real", images)
    made = noise(12, 15)
    made[3], made[5], made[7] = images[20], images[21], made[2]
    synthetic = write_set(tmp_path / "synthetic", made, synthetic=True)
    own, theirs = pixel_keys(synthetic), pixel_keys(real)
    assert first_matches(own, theirs) == [(3, 20), (5, 21)]
    every = PixelKeys([own], theirs[:21], theirs[21:])
    audit, _ = audit_as_they_are(draw(12, 16), draw(21, 17), draw(9, 18), every)
    assert audit.copies.of_training == [(3, 20)]
    assert audit.copies.of_held_out == [(5, 0)]
    assert audit.copies.within == [(7, 2)]
    assert audit.copied
    assert audit.verdict == "1 of 12 synthetic patches is an exact copy of a training patch."


def test_too_few_patches_are_said_to_be_too_few():
    training = draw(50, 19)
    audit, _ = audit_as_they_are(training[:40], training, draw(9, 20), keys(40, 50, 9))
    assert not audit.enough
    assert not audit.copied
    assert "too few to tell" in audit.verdict
    with pytest.raises(ValueError, match="at least two"):
        audit_as_they_are(training, training, training[:1], keys(50, 50, 1))


def test_mirrored_copies_are_seen_in_the_flipped_views(tmp_path):
    """Every kind of patch is compared in all views, so that the reference stays fair."""
    guide, images = random_guide(), noise(80, 21)
    made = noise(40, 22)
    made[:20] = images[:20, ::-1, ::-1]
    made[30] = made[25, :, ::-1]
    real, synthetic = write_set(tmp_path / "real", images), write_set(tmp_path / "synthetic", made, synthetic=True)
    views = [[embed_set(guide, one, flip=flip) for flip in FLIPS] for one in (synthetic, real)]
    training, held_out = ([view[rows] for view in views[1]] for rows in (slice(0, 40), slice(40, 80)))
    theirs = pixel_keys(real)
    for count, copied in ((1, False), (4, True)):
        own = PixelKeys([pixel_keys(synthetic, flip) for flip in FLIPS[:count]], theirs[:40], theirs[40:])
        parts = (part[:count] for part in (views[0], training, held_out))
        audit, found = audit_duplicates(*parts, own)
        assert audit.views == count
        assert audit.copied is copied
        assert audit.copies.of_training == ([(row, row) for row in range(20)] if copied else [])
        assert audit.copies.within == ([(30, 25)] if copied else [])
        np.testing.assert_allclose(found.synthetic[:20] if copied else 1, 1, atol=1e-6)
    usual = np.max([(view @ training[0].T).max(1) for view in held_out], axis=0)
    np.testing.assert_allclose(found.held_out, usual, rtol=1e-5)
