"""The memorisation audit tells a generator that copies from one that learnt the distribution."""

import json

import numpy as np
import pytest
import torch
from scipy import stats

from histoforge.metrics.audit_pixels import AuditPixels
from histoforge.metrics.copying import copying_test
from histoforge.metrics.exact_copies import first_matches, pixel_keys
from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.memorisation import MemorisationAudit, audit_memorisation


def draw(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 6))


def test_an_innocent_generator_is_not_accused():
    audit = audit_memorisation(EuclideanSpace(draw(300, 0), draw(400, 1), draw(200, 2), "resnet34"))
    assert audit.nearer is False
    assert audit.enough
    assert audit.n_compared == 200
    assert audit.closer_to_training == pytest.approx(0.5, abs=0.1)
    assert audit.nearer_than_held_out == pytest.approx(0.5, abs=0.1)
    assert audit.nearer_verdict.startswith("Synthetic patches are not notably nearer to the training patients")


def test_a_generator_that_stays_near_training_patches_is_detected_but_not_accused_of_copying():
    training = draw(200, 3)
    copies = training[:100] + np.random.default_rng(4).normal(size=(100, 6)) * 0.01
    audit = audit_memorisation(EuclideanSpace(copies, training, draw(200, 5), "resnet34"))
    assert audit.nearer is True
    assert not audit.copied
    assert audit.c_t < -5
    assert audit.p < 1e-6
    assert audit.authenticity < 0.05
    assert audit.closer_to_training > 0.95
    assert audit.nearer_verdict.startswith("Synthetic patches are nearer to the training patients than other")
    for pair in audit.closest:
        assert pair.training == pair.synthetic
        assert pair.distance == pytest.approx(np.linalg.norm(copies[pair.synthetic] - training[pair.training]))
        assert pair.distance < pair.held_out_distance
    assert [pair.distance for pair in audit.closest] == sorted(pair.distance for pair in audit.closest)


def test_unequal_numbers_do_not_make_training_look_nearer():
    """Ten times as many training patches are nearer to anything; equal numbers are not."""
    audit = audit_memorisation(EuclideanSpace(draw(400, 6), draw(2000, 7), draw(100, 8), "resnet34"))
    assert audit.n_compared == 100
    assert audit.closer_to_training == pytest.approx(0.5, abs=0.12)


def test_authenticity_follows_its_definition():
    fakes, training = draw(30, 9), draw(40, 10)
    authentic = 0
    for fake in fakes:
        distances = np.linalg.norm(training - fake, axis=1)
        others = np.delete(training, distances.argmin(), axis=0)
        authentic += distances.min() > np.linalg.norm(others - training[distances.argmin()], axis=1).min()
    audit = audit_memorisation(EuclideanSpace(fakes, training, draw(40, 11), "resnet34"))
    assert audit.authenticity == pytest.approx(authentic / 30)


@pytest.mark.parametrize("decimals", [8, 1])
def test_the_copying_test_equals_scipys_mann_whitney(decimals):
    rng = np.random.default_rng(12)
    synthetic, held = rng.random(50).round(decimals), (rng.random(40) + 0.1).round(decimals)
    chance, score, p = copying_test(torch.from_numpy(synthetic), torch.from_numpy(held))
    expected = stats.mannwhitneyu(synthetic, held, alternative="less", method="asymptotic", use_continuity=False)
    assert chance == pytest.approx(1 - expected.statistic / (50 * 40))
    assert p == pytest.approx(expected.pvalue)
    assert score < 0


def test_equal_distances_everywhere_are_no_evidence():
    same = torch.ones(10)
    assert copying_test(same, same) == (0.5, 0.0, 0.5)


def test_the_same_pixels_are_found_and_named():
    rng = np.random.default_rng(13)
    training = rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    synthetic = rng.integers(0, 256, (35, 16, 16, 3), dtype=np.uint8)
    synthetic[4], synthetic[9] = training[17], training[2]
    synthetic[5] = training[17]
    synthetic[5, 0, 0, 0] ^= 1
    assert first_matches(pixel_keys(synthetic), pixel_keys(training)) == [(4, 17), (9, 2)]
    audit = audit_memorisation(
        EuclideanSpace(draw(35, 14), draw(40, 15), draw(40, 16), "x"), pixels=AuditPixels(synthetic, training)
    )
    assert audit.copied
    assert audit.verdict == "2 of 35 synthetic patches are exact copies of training patches."
    json.dumps(audit.model_dump(), allow_nan=False)


def test_too_few_patches_give_no_verdict():
    audit = audit_memorisation(EuclideanSpace(draw(10, 17), draw(40, 18), draw(12, 19), "x"))
    assert not audit.enough
    assert not audit.copied
    assert "too few to tell" in audit.verdict
    with pytest.raises(ValueError, match="at least two"):
        audit_memorisation(EuclideanSpace(draw(10, 17), draw(40, 18), draw(1, 19), "x"))


def test_the_json_has_near_copies_only_if_they_were_searched_for():
    audit = audit_memorisation(EuclideanSpace(draw(35, 20), draw(40, 21), draw(40, 22), "x"))
    assert sorted(audit.model_dump()) == [
        "authenticity",
        "by_class",
        "c_t",
        "cells",
        "closer_to_training",
        "closest",
        "copied",
        "duplicates",
        "enough",
        "extractor",
        "median_held_out_to_training",
        "median_to_held_out",
        "median_to_training",
        "n_compared",
        "n_held_out",
        "n_synthetic",
        "n_training",
        "nearer",
        "nearer_than_held_out",
        "nearer_verdict",
        "p",
        "verdict",
    ]
    assert MemorisationAudit.model_validate(audit.model_dump()) == audit
