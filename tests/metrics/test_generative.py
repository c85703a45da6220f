"""All generative metrics of one pair of feature sets: named, counted, finite, and honest about too few samples."""

import json

import numpy as np
import pytest

from histoforge.metrics.frechet import FrechetReference, frechet_distance
from histoforge.metrics.generative import generative_metrics, sample_note
from histoforge.metrics.kid import kernel_distance
from histoforge.metrics.prdc import manifold_scores


def test_gathers_every_metric_under_the_extractors_name():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(60, 4)), rng.normal(size=(50, 4)) + 0.5
    metrics = generative_metrics(real, fake, "resnet34 (baseline, seed 0)", reference=FrechetReference(real))
    scores = manifold_scores(real, fake, 5)
    assert metrics.extractor == "resnet34 (baseline, seed 0)"
    assert (metrics.n_real, metrics.n_fake, metrics.dimensions, metrics.neighbours) == (60, 50, 4, 5)
    assert metrics.fid == pytest.approx(frechet_distance(real, fake))
    assert metrics.kid == pytest.approx(kernel_distance(real, fake))
    assert (metrics.precision, metrics.recall) == (scores.precision, scores.recall)
    assert (metrics.density, metrics.coverage) == (scores.density, scores.coverage)
    assert metrics.kid_deviation is not None


def test_enough_samples_leave_no_note():
    assert sample_note(2048, 5000, 512) == ""


@pytest.mark.parametrize(
    ("counts", "dimensions", "text"),
    [
        ((5000, 2047), 512, "fewer than 2,048"),
        ((5000, 2048), 2048, "fewer than the 2,048 features need"),
        ((4, 5000), 16, "5 neighbours"),
        ((1, 5000), 16, "too few to compare"),
    ],
)
def test_the_note_says_what_there_is_too_little_of(counts, dimensions, text):
    assert text in sample_note(*counts, dimensions)


def test_what_cannot_be_computed_is_none_and_the_rest_is_json():
    rng = np.random.default_rng(1)
    few = generative_metrics(rng.normal(size=(30, 4)), rng.normal(size=(3, 4)), "x")
    assert few.precision is None
    assert few.fid is not None
    single = generative_metrics(rng.normal(size=(30, 4)), rng.normal(size=(1, 4)), "x")
    assert single.fid is single.kid is single.precision is None
    assert not single.enough
    json.dumps([few.model_dump(), single.model_dump()], allow_nan=False)
