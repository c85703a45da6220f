"""The tables of generators and large images in `evaluate`: from scores on disk to the report and its numbers."""

import pytest
import torch
from large_images import write_images
from scoring_parts import CLASSES, SCORING, SIDE, train_arm, write_generator, write_patches

from histoforge.core.documents import read_json
from histoforge.core.errors import ModelError, SettingsError
from histoforge.evaluation.generator_scores import read_scores
from histoforge.evaluation.large_images import open_large_images
from histoforge.steps import evaluate, score_generator, score_images
from histoforge.steps.evaluate_config import EvaluateConfig
from histoforge.steps.score_generator_config import ScoreGeneratorConfig
from histoforge.steps.score_images_config import ScoreImagesConfig
from histoforge.training.model_files import ModelInfo, save_model

CPU = {"device": "cpu", "precision": "float32"}
ERROR = {"images": 12, "psnr": 26.5, "ssim": 0.81, "fid": None, "extractor": ""}


def score(given, out, extractor):
    """Score a generator and a set of images by an extractor."""
    score_generator.run(
        ScoreGeneratorConfig.make({**SCORING, "generations": 2, "path_pairs": 0}),
        patches=given / "patches",
        generator=given / "generator",
        extractor=extractor,
        samples=out / "samples",
        scores=out / "scores",
    )
    score_images.run(
        ScoreImagesConfig.make({**CPU, "generations": 2, "tiles": 36, "neighbours": 2}),
        patches=given / "real",
        images=given / "images",
        extractor=extractor,
        scores=out / "image_scores",
    )


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    write_patches(folder / "patches")
    train_arm(folder / "baseline", folder / "patches")
    write_generator(folder / "generator")
    write_images(folder / "real", 12, synthetic=False)
    write_images(folder / "images", 6)
    score(folder, folder, folder / "baseline")
    info = ModelInfo(
        kind="autoencoder",
        method="autoencoder_kl",
        config={},
        classes=CLASSES,
        patch_size=(SIDE, SIDE),
        mpp=1.0,
        training={"reconstruction": {"patch": ERROR}},
    )
    save_model(folder / "autoencoder", info, {"weight": torch.zeros(1)})
    return folder


def test_the_report_and_its_numbers_have_all_scores(given, tmp_path):
    summary = evaluate.run(
        EvaluateConfig.make({**CPU, "resamples": 200, "shown_patches": 1}),
        patches=given / "patches",
        arms=[given / "baseline"],
        generator_scores=[given / "scores"],
        image_scores=given / "image_scores",
        autoencoder=given / "autoencoder",
        report=tmp_path / "report.html",
        metrics=tmp_path / "metrics.json",
    )
    results = read_json(tmp_path / "metrics.json")["large_images"]
    (generator,), (images,) = results["generators"], results["images"]
    scores = read_scores(given / "scores")
    assert generator["levels"] == [row.model_dump() for row in scores.levels]
    assert (generator["name"], generator["digest"]) == ("histogan", scores.digests.generator)
    assert results["reconstruction"] == {"patch": ERROR}
    fid = scores.levels[0].metrics["fid"].mean
    assert summary.metrics["histogan_patch_fid"] == pytest.approx(fid)
    assert summary.metrics["tracking_seams"] == pytest.approx(images["seams"]["mean"])
    report = (tmp_path / "report.html").read_text()
    assert "Table 1: generators" in report
    assert f"{fid:,.2f}\u00a0±" in report
    assert "Table 3: what enlarges an overview" in report
    assert "26.50" in report
    assert 'alt="Large images, light"' in report


def test_scores_of_other_classes_or_another_extractor_are_refused(given, tmp_path):
    paths = [given / "scores"], [given / "image_scores"], None
    with pytest.raises(ModelError, match="scores are of the classes dark, light, and the patch set has dark, bright"):
        open_large_images(*paths, ["dark", "bright"])
    score(given, tmp_path, given / "baseline" / "seed-0")
    with pytest.raises(ModelError, match=r"image_scores were made with the extractor .*: make both with one extractor"):
        open_large_images([given / "scores"], [tmp_path / "image_scores"], None, CLASSES)


def test_two_scores_of_one_name_are_refused(given):
    with pytest.raises(SettingsError, match="Two generators are called 'histogan, seed 0, patch'"):
        open_large_images([given / "scores"] * 2, [], None, CLASSES)
    with pytest.raises(SettingsError, match="Two sets of images are called 'tracking': score one of them again"):
        open_large_images([], [given / "image_scores"] * 2, None, CLASSES)


def test_nothing_given_is_nothing_shown():
    assert open_large_images([], [], None, CLASSES) is None
