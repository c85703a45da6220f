"""The step `score_images`: what it writes, held against a computation of its own, and what it refuses."""

import json

import numpy as np
import pytest
from large_images import BORDERS, IMAGE_SIDE, write_images
from scoring_parts import CLASSES, SIDE, train_arm, write_patches
from tiny_guide import save_random_guide

from histoforge.classifiers.arms import load_arm
from histoforge.core.errors import ModelError, PatchSetError
from histoforge.evaluation import image_views
from histoforge.evaluation.image_scores import read_image_scores
from histoforge.evaluation.image_views import Borders, view_images
from histoforge.evaluation.level_scoring import compared_images
from histoforge.metrics.extract import extract_features
from histoforge.metrics.frechet import frechet_distance
from histoforge.patches import PatchSet
from histoforge.steps.score_images import _pictures, drawing_name, run
from histoforge.steps.score_images_config import ScoreImagesConfig

SETTINGS = {"device": "cpu", "precision": "float32", "generations": 2, "tiles": 36, "neighbours": 2}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    train_arm(folder / "extractor", write_patches(folder / "patches"))
    write_images(folder / "real", 12, synthetic=False)
    write_images(folder / "seamless", 6)
    write_images(folder / "seams", 6, seam=60)
    return folder


def score(given, out, images="seamless", **values):
    guide = values.pop("guide", None)
    return run(
        ScoreImagesConfig.make({**SETTINGS, **values}),
        patches=given / "real",
        images=given / images,
        extractor=given / "extractor",
        guide=guide,
        scores=out / "scores",
    )


@pytest.fixture(scope="module")
def scored(given, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored")
    return score(given, out), read_image_scores(out / "scores"), out


def test_the_tiles_of_a_group_are_compared_with_as_many_real_ones(given, scored):
    _, scores, _ = scored
    assert [row.level for row in scores.levels] == ["image", "tile"]
    image, tile = scores.levels
    assert (image.draws, image.n_fake, image.n_real) == (2, 6, 6)
    assert (tile.draws, tile.n_fake, tile.n_real) == (2, 36, 36)
    assert scores.judge == load_arm(given / "extractor")[1].name == image.extractor
    assert (scores.name, scores.tile_size, scores.image_size) == ("tracking", (SIDE, SIDE), (IMAGE_SIDE, IMAGE_SIDE))
    assert set(tile.real) == set(tile.metrics)


def test_the_metrics_of_a_group_are_those_of_its_own_tiles(given, tmp_path):
    """With all tiles of all images, the FID of a group is that of tiles which are cut here."""
    score(given, tmp_path, tiles=54)
    tile = read_image_scores(tmp_path / "scores").levels[1]
    judge = load_arm(given / "extractor")[1]
    drawn, real = PatchSet.open(given / "seamless"), compared_images(PatchSet.open(given / "real"), 0, 6)
    features = [extract_features(judge, all_tiles(images.images())) for images in (drawn, real)]
    of_first_group = np.isin(np.arange(12), [0, 1, 2, 6, 7, 8]).repeat(9)
    assert tile.n_real == 54
    expected = [frechet_distance(features[1], features[0][rows]) for rows in (of_first_group, ~of_first_group)]
    assert tile.metrics["fid"].values == pytest.approx(expected, rel=1e-4)
    assert tile.metrics["fid"].mean == pytest.approx(np.mean(expected), rel=1e-4)
    assert tile.metrics["fid"].std == pytest.approx(np.std(expected, ddof=1), rel=1e-3)


def all_tiles(images):
    """Cut images [N, H, W, 3] into tiles, image by image."""
    parts = [np.split(strip, 3, axis=2) for strip in np.split(images, 3, axis=1)]
    return np.stack([tile for strip in parts for tile in strip], 1).reshape(-1, SIDE, SIDE, 3)


@pytest.mark.parametrize("at_once", [1, 16])
def test_a_view_has_the_whole_image_and_tiles_of_it(monkeypatch, given, at_once):
    monkeypatch.setattr(image_views, "IMAGES_AT_ONCE", at_once)
    images = PatchSet.open(given / "seamless").where(np.array([3, 8]))
    views = list(view_images(images, (SIDE, SIDE), 4, Borders(**BORDERS), np.random.default_rng(0)))
    assert len(views) == 2 // min(at_once, 2)
    whole, tiles, image_of_tile = (
        np.concatenate([getattr(each, name) for each in views]) for name in ("whole", "tiles", "image_of_tile")
    )
    pixels = images.images()
    means = pixels.reshape(2, SIDE, 3, SIDE, 3, 3).mean((2, 4))
    np.testing.assert_allclose(whole, means, atol=1)
    assert image_of_tile.tolist() == [0] * 4 + [1] * 4
    for row in (0, 1):
        of_image = {tile.tobytes() for tile in all_tiles(pixels[row : row + 1])}
        drawn = {tile.tobytes() for tile in tiles[image_of_tile == row]}
        assert len(drawn) == 4
        assert drawn <= of_image


def test_seams_are_found_at_the_recorded_borders(given, scored, tmp_path):
    _, seamless, _ = scored
    visible = score(given, tmp_path, "seams")
    assert seamless.seams.mean == pytest.approx(1, abs=0.2)
    assert seamless.real_seams == pytest.approx(1, abs=0.2)
    assert len(seamless.seams.values) == 2
    assert visible.seams > 2


def test_pictures_of_each_class_are_kept_and_damage_to_them_is_found(scored, given, tmp_path):
    score(given, tmp_path, shown_images=1)
    scores = read_image_scores(tmp_path / "scores")
    assert [(each.class_name, each.synthetic) for each in scores.pictures] == [
        ("dark", True),
        ("light", True),
        ("dark", False),
        ("light", False),
    ]
    assert not any(each.detail for each in scores.pictures)  # the whole image has full resolution
    picture = tmp_path / "scores" / scores.pictures[0].file
    picture.write_bytes(picture.read_bytes()[:-9])
    with pytest.raises(ModelError, match=r"synthetic-0-0-whole\.png is missing or damaged: run score_images again"):
        read_image_scores(tmp_path / "scores")


def test_changed_scores_are_refused(scored, given, tmp_path):
    score(given, tmp_path)
    file = tmp_path / "scores" / "image_scores.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "name": "better"}))
    with pytest.raises(ModelError, match="was changed after it was written"):
        read_image_scores(tmp_path / "scores")


def test_a_guide_finds_repeated_tissue_in_synthetic_and_in_real_images(given, tmp_path):
    guide = save_random_guide(tmp_path / "guide", CLASSES, SIDE)
    summary = score(given, tmp_path, guide=guide)
    assert 0 <= summary.repeated <= 1
    assert 0 <= summary.real_repeated <= 1


def test_images_are_named_by_how_they_were_drawn():
    assert drawing_name({"upscaled_by": "tracking", "weights": "paper"}) == "tracking"
    assert drawing_name({"upscaled_by": "tracking", "weights": "none"}) == "tracking without weight map"
    assert drawing_name({"upscaled_by": "bsrgan", "weights": "none"}) == "bsrgan"


def test_there_are_at_most_as_many_groups_as_images_of_a_class(given, tmp_path):
    summary = score(given, tmp_path, generations=7)
    assert read_image_scores(tmp_path / "scores").levels[0].draws == 6
    assert "There are 6 groups instead of 7" in summary.warnings[0]


def test_what_does_not_belong_together_is_refused(given, tmp_path):
    write_images(given / "others", 2, classes=["dark", "bright"])
    with pytest.raises(PatchSetError, match="others has the classes dark, bright, and the patch set of real images"):
        score(given, tmp_path, "others")
    write_images(given / "larger", 2, side=2 * IMAGE_SIDE)
    with pytest.raises(
        PatchSetError, match="larger has patches of 96x96 px, and the patch set of real images has 48x48"
    ):
        score(given, tmp_path, "larger")
    assert not (tmp_path / "scores").exists()


def test_a_large_image_is_also_shown_in_detail():
    pixels = np.random.default_rng(0).integers(0, 256, (700, 400, 3), dtype=np.uint8)
    pictures = _pictures(pixels)
    assert pictures["whole"].size == (183, 320)
    np.testing.assert_array_equal(np.asarray(pictures["detail"]), pixels[190:510, 40:360])
