"""Phantom slides are reproducible, have correct annotations, and resemble H&E."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from histoforge.core.errors import SettingsError, SlideError
from histoforge.phantom import draw_patches, draw_slides
from histoforge.phantom.drawing import SlideDrawer
from histoforge.phantom.layout import plan_slide
from histoforge.phantom.texture import Patterns, make_patterns
from histoforge.slides import open_slide, read_annotations
from histoforge.slides.stain import macenko_fit
from histoforge.steps.phantom import run
from histoforge.steps.phantom_config import PhantomConfig

CLASSES = ("benign", "tumour")


@pytest.fixture(scope="session")
def patterns() -> Patterns:
    return make_patterns(0, 0.5)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw_slides(folder, patients=2, slides_per_patient=2, size_px=768, seed=3)
    return folder


def test_slides_patients_and_labels_are_listed(folder: Path) -> None:
    with open(folder / "slides.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["slide"] for row in rows} == {path.stem for path in folder.glob("*.tiff")}
    assert [row["patient"] for row in rows] == [*["patient-01"] * 2, *["patient-02"] * 2, "patient-03"]
    assert {row["label"] for row in rows} <= set(CLASSES)


def test_slides_open_with_levels_mpp_and_regions_of_every_class(folder: Path) -> None:
    paths = sorted(folder.glob("phantom-p*.tiff"))
    assert paths
    for path in paths:
        with open_slide(path) as slide:
            assert slide.level_sizes == ((768, 768), (384, 384))
            assert slide.mpp == pytest.approx(0.5)
            annotations = read_annotations(path.with_suffix(".geojson"), slide, CLASSES)
        assert {region.class_name for region in annotations.regions} == set(CLASSES)
        assert annotations.warnings == []


def test_the_corrupt_slide_does_not_open(folder: Path) -> None:
    with pytest.raises(SlideError):
        open_slide(folder / "phantom-corrupt.tiff")


def test_the_same_seed_draws_the_same_and_another_does_not(folder: Path, tmp_path: Path) -> None:
    draw_slides(tmp_path / "same", patients=2, size_px=768, seed=3, corrupt=False)
    draw_slides(tmp_path / "other", patients=2, size_px=768, seed=4, corrupt=False)
    name = "phantom-p02-s1.tiff"
    assert (tmp_path / "same" / name).read_bytes() == (folder / name).read_bytes()
    assert (tmp_path / "other" / name).read_bytes() != (folder / name).read_bytes()


def test_rectangles_of_a_slide_fit_together(patterns: Patterns) -> None:
    drawer = SlideDrawer(plan_slide(1, 0, 0, (768, 768), 0.5, CLASSES, pen=True), patterns)
    whole = drawer.draw(0, 0, 768, 768)
    rectangles = [[drawer.draw(x, y, 256, 384) for x in range(0, 768, 256)] for y in range(0, 768, 384)]
    np.testing.assert_array_equal(np.vstack([np.hstack(row) for row in rectangles]), whole)


def test_classes_differ_on_average_and_overlap_in_single_patches() -> None:
    patches = draw_patches(200, patients=4, seed=2)
    dark = (patches.images[..., 0] < 150).mean(axis=(1, 2))
    benign, tumour = (dark[patches.labels == label] for label in (0, 1))
    assert tumour.mean() > 1.15 * benign.mean()
    assert 0.6 < (tumour[:, None] > benign[None]).mean() < 0.95


def test_patches_are_labelled_evenly_distributed_and_repeatable() -> None:
    patches = draw_patches(13, patch_size=(32, 48), classes=("a", "b", "c"), patients=2, seed=7)
    assert (patches.images.shape, patches.images.dtype) == ((39, 32, 48, 3), np.uint8)
    np.testing.assert_array_equal(np.bincount(patches.labels), [13, 13, 13])
    assert [(patches.patients == f"patient-0{number}").sum() for number in (1, 2)] == [21, 18]
    np.testing.assert_array_equal(
        patches.images, draw_patches(13, (32, 48), classes=("a", "b", "c"), patients=2, seed=7).images
    )


def test_the_stains_are_haematoxylin_and_eosin_and_vary_by_patient() -> None:
    patches = draw_patches(40, patients=2, patch_size=(96, 96))
    fits = [macenko_fit(patches.images[patches.patients == name]) for name in np.unique(patches.patients)]
    for fitted in fits:
        assert fitted is not None
        haematoxylin, eosin = fitted[0]
        assert (fitted[0].argmax(axis=1) == 1).all(), "both absorb green most"
        assert haematoxylin[0] > eosin[0] + 0.1, "haematoxylin is the bluer one"
    means = [patches.images[patches.patients == name].mean(axis=(0, 1, 2)) for name in np.unique(patches.patients)]
    assert np.abs(means[0] - means[1]).max() > 4


def test_one_slide_has_a_pen_mark(folder: Path) -> None:
    corners = {}
    for path in sorted(folder.glob("phantom-p*.tiff")):
        with open_slide(path) as slide:
            corners[path.stem] = slide.read(0, 0, 0, 60, 300).min()
    assert [name for name, darkest in corners.items() if darkest < 130] == ["phantom-p02-s1"]


def test_slides_too_small_for_regions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="too small to contain regions: choose at least 625 px"):
        draw_slides(tmp_path, size_px=600, mpp=0.4)


def test_the_step_uses_its_settings(tmp_path: Path) -> None:
    config = PhantomConfig.make({"patients": 1, "size_px": 640, "classes": ["x", "y", "z"], "corrupt": False})
    summary = run(config, out=tmp_path)
    assert summary.slides == ["phantom-p01-s1.tiff"]
    features = json.loads((tmp_path / "phantom-p01-s1.geojson").read_text())["features"]
    assert {feature["properties"]["classification"]["name"] for feature in features} == {"x", "y", "z"}
    with pytest.raises(SettingsError, match="distinct"):
        PhantomConfig.make({"classes": ["x", "x"]})
