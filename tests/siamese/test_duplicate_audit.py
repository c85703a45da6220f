"""The audit by a guide's embeddings detects copies and near copies, and does not accuse an innocent set."""

import json

import numpy as np
import pytest
from scipy import stats
from tiny_guide import noise, random_guide, write_set

from histoforge.metrics import near_copies
from histoforge.metrics.audit_pixels import AuditPixels
from histoforge.metrics.exact_copies import FLIPS, first_matches, pixel_keys
from histoforge.metrics.memorisation import MemorisationAudit, audit_memorisation
from histoforge.metrics.near_copies import NearCopies
from histoforge.siamese.duplicates import CosineSpace
from histoforge.siamese.retrieval import embed_set


def draw(count: int, seed: int, dims: int = 8) -> np.ndarray:
    return unit(np.abs(np.random.default_rng(seed).normal(size=(count, dims))))


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def distinct_pixels(*counts: int) -> AuditPixels:
    """Pixels of patches that all differ."""
    images = np.random.default_rng(0).integers(0, 256, (sum(counts), 16, 16, 3), dtype=np.uint8)
    return AuditPixels(*np.split(images, np.cumsum(counts)[:-1]))


def audit_views(
    synthetic: list[np.ndarray],
    training: list[np.ndarray],
    held_out: list[np.ndarray],
    pixels: AuditPixels,
    quantile: float = 0.99,
) -> tuple[MemorisationAudit, NearCopies]:
    """The audit of embeddings, one matrix per view."""
    space = CosineSpace(synthetic, training, held_out, "guide")
    audit = audit_memorisation(space, pixels=pixels, quantile=quantile, n_closest=12)
    assert audit.near_copies is not None
    return audit, audit.near_copies


def audit_unflipped(
    synthetic: np.ndarray, training: np.ndarray, held_out: np.ndarray, pixels: AuditPixels, quantile: float = 0.99
) -> tuple[MemorisationAudit, NearCopies]:
    return audit_views([synthetic], [training], [held_out], pixels, quantile)


def test_an_innocent_set_is_not_accused():
    pixels = distinct_pixels(300, 400, 200)
    audit, near = audit_unflipped(draw(300, 0), draw(400, 1), draw(200, 2), pixels, quantile=0.95)
    assert audit.enough
    assert not audit.copied
    assert audit.nearer is False
    assert audit.verdict.startswith("No copies of training patches found")
    assert near.nearness.share == pytest.approx(0.05, abs=0.04)
    assert near.nearness.more_similar == pytest.approx(0.5, abs=0.06)
    assert near.within.share == pytest.approx(0.05, abs=0.04)
    similarities = near.nearness.similarities
    assert {name: len(values) for name, values in similarities.items()} == {
        "synthetic": 300,
        "held out": 200,
        "training": 400,
    }
    json.dumps(audit.model_dump(mode="json"), allow_nan=False)


def test_near_copies_are_flagged_and_paired_with_their_originals():
    training, rng = draw(200, 3), np.random.default_rng(4)
    copies = unit(np.abs(training[50:70] + rng.normal(size=(20, 8)) * 0.003))
    synthetic = np.concatenate([draw(80, 5), copies])
    audit, near = audit_unflipped(synthetic, training, draw(200, 6), distinct_pixels(100, 200, 200))
    assert audit.nearer is True
    assert not audit.copied
    assert audit.nearer_verdict.startswith("Synthetic patches are nearer to the training patients than other")
    assert {(pair.synthetic, pair.other) for pair in near.nearness.flagged} >= {(80 + n, 50 + n) for n in range(20)}
    similarities = [pair.similarity for pair in near.nearness.closest]
    assert similarities == sorted(similarities, reverse=True)
    assert len(similarities) == 12


def test_the_shared_tests_use_the_distance_one_minus_cosine():
    """The audit by a guide also gives the statistics that the report shows for a classifier."""
    synthetic, training, held_out = draw(60, 7), draw(90, 8), draw(50, 9)
    audit, near = audit_unflipped(synthetic, training, held_out, distinct_pixels(60, 90, 50))
    cosines = synthetic.astype(np.float64) @ training.T.astype(np.float64)
    between = training.astype(np.float64) @ training.T.astype(np.float64)
    np.fill_diagonal(between, -1)
    authentic = cosines.max(1) < between.max(1)[cosines.argmax(1)]
    assert audit.authenticity == pytest.approx(authentic.mean())
    assert audit.nearer_than_held_out == pytest.approx(near.nearness.more_similar)
    for pair, similar in zip(audit.closest, near.nearness.closest, strict=True):
        assert (pair.synthetic, pair.training) == (similar.synthetic, similar.other)
        assert 1 - pair.distance == pytest.approx(similar.similarity)
        assert 1 - pair.held_out_distance == pytest.approx((held_out @ synthetic[pair.synthetic]).max(), abs=1e-6)


def test_copies_are_detected_even_if_empty_patches_put_the_threshold_at_1():
    """Some patches of every kind are all alike, so that no similarity can be above the held-out ones'."""
    empty = np.repeat(draw(1, 30), 20, axis=0)
    training = np.concatenate([draw(100, 31), empty])
    copies = unit(np.abs(training[:100] + np.random.default_rng(32).normal(size=(100, 8)) * 0.003))
    held_out, pixels = np.concatenate([draw(80, 33), empty]), distinct_pixels(120, 120, 100)
    audit, near = audit_unflipped(np.concatenate([copies, empty]), training, held_out, pixels)
    assert (near.nearness.threshold, near.nearness.share) == (pytest.approx(1, abs=1e-6), 0)
    similarities = near.nearness.similarities
    expected = stats.mannwhitneyu(
        similarities["synthetic"], similarities["training"], alternative="greater", use_continuity=False
    )
    assert near.nearness.more_similar_than_training == pytest.approx(expected.statistic / 120**2)
    assert near.nearness.p_than_training == pytest.approx(expected.pvalue)
    assert audit.nearer
    innocent = np.concatenate([draw(100, 34), empty])
    assert not audit_unflipped(innocent, training, held_out, pixels)[0].nearer


def test_the_threshold_is_the_quantile_of_held_out_patches_by_definition():
    synthetic, training, held_out = draw(60, 7), draw(90, 8), draw(50, 9)
    _, near = audit_unflipped(synthetic, training, held_out, distinct_pixels(60, 90, 50), quantile=0.9)
    references = np.sort((held_out.astype(np.float64) @ training.T).max(1))
    nearest = (synthetic.astype(np.float64) @ training.T).max(1)
    assert near.nearness.threshold == pytest.approx(references[45], abs=1e-6)
    assert near.nearness.share == pytest.approx((nearest > references[45] + 1e-7).mean())
    assert near.nearness.held_out_share == pytest.approx(4 / 50)
    np.testing.assert_allclose(near.nearness.similarities["synthetic"], nearest, rtol=1e-6)
    between = training.astype(np.float64) @ training.T
    np.fill_diagonal(between, -1)
    np.testing.assert_allclose(near.nearness.similarities["training"], between.max(1), rtol=1e-6)


def test_a_set_that_repeats_itself_is_detected_among_equal_numbers(monkeypatch):
    """Five motifs drawn repeatedly: all near each other, whatever they are to the training patches."""
    rng = np.random.default_rng(10)
    motifs = unit(np.abs(draw(5, 11)[rng.integers(0, 5, 120)] + rng.normal(size=(120, 8)) * 0.002))
    pixels = distinct_pixels(120, 400, 100)
    _, near = audit_unflipped(motifs, draw(400, 12), draw(100, 13), pixels)
    assert near.within.n == 120
    assert near.within.share > 0.9
    pairs = [(pair.synthetic, pair.other) for pair in near.within.closest]
    assert len(set(pairs)) == len(pairs) == 12
    assert all(later > earlier for later, earlier in pairs)
    monkeypatch.setattr(near_copies, "MAX_COMPARED", 40)
    _, limited = audit_unflipped(motifs, draw(400, 12), draw(100, 13), pixels)
    assert (limited.within.n, len(limited.nearness.similarities["training"])) == (40, 40)
    assert limited.nearness.share == near.nearness.share


def test_the_same_pixels_are_found_everywhere(tmp_path):
    images = noise(30, 14)
    real = write_set(tmp_path / "real", images)
    synthetic_images = noise(12, 15)
    synthetic_images[3], synthetic_images[5], synthetic_images[7] = images[20], images[21], synthetic_images[2]
    synthetic = write_set(tmp_path / "synthetic", synthetic_images, synthetic=True)
    synthetic_keys, real_keys = pixel_keys(synthetic), pixel_keys(real)
    assert first_matches(synthetic_keys, real_keys) == [(3, 20), (5, 21)]
    pixels = AuditPixels(synthetic_images, images[:21], images[21:])
    audit, near = audit_unflipped(draw(12, 16), draw(21, 17), draw(9, 18), pixels)
    assert near.copies.of_training == audit.duplicates == [(3, 20)]
    assert near.copies.of_held_out == [(5, 0)]
    assert near.copies.within == [(7, 2)]
    assert audit.copied
    assert audit.verdict == "1 of 12 synthetic patches is an exact copy of a training patch."


def test_a_verdict_needs_enough_patches():
    training = draw(50, 19)
    audit, _ = audit_unflipped(training[:40], training, draw(9, 20), distinct_pixels(40, 50, 9))
    assert not audit.enough
    assert not audit.copied
    assert "too few to tell" in audit.verdict
    with pytest.raises(ValueError, match="at least two"):
        audit_unflipped(training, training, training[:1], distinct_pixels(50, 50, 1))


def test_flipped_copies_are_detected_in_the_flipped_views(tmp_path):
    """Every kind of patch is compared in all views, so that the reference stays fair."""
    guide, images = random_guide(), noise(80, 21)
    synthetic_images = noise(40, 22)
    synthetic_images[:20] = images[:20, ::-1, ::-1]
    synthetic_images[30] = synthetic_images[25, :, ::-1]
    real = write_set(tmp_path / "real", images)
    synthetic = write_set(tmp_path / "synthetic", synthetic_images, synthetic=True)
    synthetic_views, real_views = (
        [embed_set(guide, patches, flip=flip) for flip in FLIPS] for patches in (synthetic, real)
    )
    training, held_out = ([view[rows] for view in real_views] for rows in (slice(0, 40), slice(40, 80)))
    pixels = AuditPixels(synthetic_images, images[:40], images[40:])
    for count, copied in ((1, False), (4, True)):
        audit, near = audit_views(synthetic_views[:count], training[:count], held_out[:count], pixels)
        assert near.views == count
        assert audit.copied
        assert near.copies.of_training == [(row, row) for row in range(20)]
        assert near.copies.within == [(30, 25)]
        np.testing.assert_allclose(near.nearness.similarities["synthetic"][:20] if copied else 1, 1, atol=1e-6)
    references = np.max([(view @ training[0].T).max(1) for view in held_out], axis=0)
    np.testing.assert_allclose(near.nearness.similarities["held out"], references, rtol=1e-5)
