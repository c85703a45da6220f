"""Several draws of a generator, and its two spatial levels, in `score_generator`."""

import numpy as np
import pytest
from scoring_parts import CLASSIFIER, SCORING
from untrained_pathup import WINDOW_PX, save_pathup

from histoforge.classifiers.arms import load_arm
from histoforge.core.seeds import derive_seed
from histoforge.evaluation.generator_scores import read_scores
from histoforge.evaluation.level_scoring import compared_images
from histoforge.evaluation.scoring import labels_to_draw
from histoforge.generators.loading import draw, load_generator
from histoforge.metrics.extract import extract_features
from histoforge.metrics.frechet import frechet_distance
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.steps import score_generator, train_classifier
from histoforge.steps.score_generator_config import ScoreGeneratorConfig
from histoforge.steps.train_classifier_config import TrainClassifierConfig

CLASSES = ["benign", "tumour"]
COUNT = 12
SETTINGS = {**SCORING, "count": COUNT, "generations": 2, "path_pairs": 0, "precision": "float32"}


def write_level(path, mean, level):
    rng = np.random.default_rng(mean)
    with PatchSetWriter.create(path, CLASSES, (WINDOW_PX, WINDOW_PX), mpp=0.5) as writer:
        for split, count in (("train", 20), ("val", 8)):
            pixels = rng.normal(mean, 30, (count, WINDOW_PX, WINDOW_PX, 3)).clip(0, 255).astype(np.uint8)
            for label in (0, 1):
                rows = pixels[label::2]
                writer.add(rows, label=label, patient=f"{split}{label}", slide="s", split=split)
        writer.finish({"step": "preprocess", **level})
    return path


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("levels")
    write_level(folder / "patches", 100, {})
    write_level(folder / "overviews", 160, {"level": "overview"})
    config = TrainClassifierConfig.make({**CLASSIFIER, "seeds": 2, "epochs": 1})
    train_classifier.run(config, patches=folder / "patches", model=folder / "extractor")
    save_pathup(folder / "generator")
    return folder


def score(given, out, generator, patches="patches", overviews="overviews", **values):
    score_generator.run(
        ScoreGeneratorConfig.make({**SETTINGS, **values}),
        patches=given / patches,
        generator=generator,
        extractor=given / "extractor",
        overviews=overviews and given / overviews,
        samples=out / "samples",
        scores=out / "scores",
    )
    return read_scores(out / "scores")


@pytest.fixture(scope="module")
def scores(given, tmp_path_factory):
    return score(given, tmp_path_factory.mktemp("scored"), given / "generator")


def test_each_draw_of_each_level_is_compared_with_the_same_real_images(given, scores):
    judge, generator = load_arm(given / "extractor")[1], load_generator(given / "generator", "cpu")
    assert [(row.level, row.draws, row.n_fake, row.n_real) for row in scores.levels] == [
        ("patch", 2, COUNT, COUNT),
        ("overview", 2, COUNT, COUNT),
    ]
    generator.sample = lambda labels, rng: generator.sample_level(labels, 1, rng)
    real = extract_features(judge, compared_images(PatchSet.open(given / "overviews"), 0, COUNT))
    labels = labels_to_draw(PatchSet.open(given / "overviews").split("train"), COUNT, False, 0)
    fids = scores.levels[1].metrics["fid"].values
    assert fids[0] != fids[1]
    assert scores.levels[1].extractor == judge.name
    for row in scores.levels:
        assert set(row.real) == set(row.metrics)
        assert row.metrics["fid"].std == pytest.approx(np.std(row.metrics["fid"].values, ddof=1))
    drawn = draw(generator, labels, derive_seed(0, "generation", 1), 128)
    assert fids[1] == pytest.approx(frechet_distance(real, extract_features(judge, drawn)), rel=1e-4)


def test_the_first_draw_is_that_of_all_other_scores(scores):
    patch = scores.levels[0]
    for name in ("fid", "kid", "precision", "recall"):
        assert patch.metrics[name].values[0] == scores.judge_metrics.value(name)
    assert patch.metrics["fid"].values[0] != patch.metrics["fid"].values[1]


def test_a_generator_of_one_level_is_scored_at_that_of_its_images(given, tmp_path, capsys):
    save_pathup(tmp_path / "generator", spatial_levels="patch")
    alone = score(given, tmp_path, tmp_path / "generator", generations=1)
    assert [(row.level, row.draws) for row in alone.levels] == [("patch", 1)]
    assert alone.levels[0].metrics["fid"].std is None
    assert "draws one level alone, so the overviews are not used" in capsys.readouterr().err
    of_overviews = score(given, tmp_path, tmp_path / "generator", "overviews", overviews=None, generations=1)
    assert [row.level for row in of_overviews.levels] == ["overview"]
