"""`preprocess` with a second level: overviews that are cut like patches, from images and from slides."""

from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pandas as pd
import pytest
from PIL import Image
from preprocessing import Preprocessed, folder_by_patient, preprocess, save, tissue

from histoforge.core.errors import SettingsError
from histoforge.ingest.levels import split_overviews
from histoforge.phantom.slides import draw_slides
from histoforge.steps.preprocess_config import PreprocessConfig

LEVELS: dict[str, Any] = {"patch_size": 16, "overview_size": 0, "overview_shrink": 4, "overview_overlap": 16}


def shrunk(image: np.ndarray, factor: int) -> np.ndarray:
    """The image averaged over squares, float64."""
    height, width = (side // factor for side in image.shape[:2])
    return image.reshape(height, factor, width, factor, 3).astype(float).mean(axis=(1, 3))


def test_overviews_of_images_are_cut_with_their_overlap_and_shrunk(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", images=2, size=112)
    result = preprocess(source, tmp_path, slide_mpp=0.5, mpp=0.5, **LEVELS)
    index = result.overviews.index
    assert result.overviews.patch_size == (16, 16)
    assert len(index) == result.summary.overviews == 12 * 4
    assert result.overviews.info.mpp == 2.0
    assert result.overviews.info.made_by["level"] == "overview"
    assert "level" not in result.patches.info.made_by
    for pixels, row in zip(result.overviews.images(), index.itertuples(), strict=True):
        assert (row.x, row.y) in {(0, 0), (48, 0), (0, 48), (48, 48)}
        image = np.asarray(Image.open(source / row.file))
        assert abs(pixels - shrunk(image[row.y : row.y + 64, row.x : row.x + 64], 4)).max() <= 1
        assert row.class_name == row.file.split("/")[0]
        assert row.mpp == 2.0


def test_both_levels_have_the_same_split_by_patient(tmp_path: Path) -> None:
    result = preprocess(folder_by_patient(tmp_path / "in", images=2, size=64), tmp_path, **LEVELS)
    split_of_patient = dict(zip(result.patches.index["patient"], result.patches.index["split"], strict=True))
    assert {split_of_patient[p] for p in result.overviews.index["patient"]} == {"train", "val", "test"}
    assert result.overviews.index["patient"].map(split_of_patient).tolist() == result.overviews.index["split"].tolist()
    counts = result.summary.overview_counts
    assert counts == result.overviews.info.counts
    assert not [warning for warning in result.summary.warnings if "overviews" in warning]


def test_images_smaller_than_an_overview_are_padded_with_their_background(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", images=2, size=56)
    for path in source.glob("*/*.png"):
        image = np.array(Image.open(path))
        image[:, :4] = (231, 229, 232)
        save(path, image)
    result = preprocess(source, tmp_path, min_tissue=0.5, **LEVELS)
    assert len(result.overviews) == 12
    for pixels, row in zip(result.overviews.images(), result.overviews.index.itertuples(), strict=True):
        assert (row.x, row.y) == (-4, -4)
        assert pixels[0, 0].tolist() == [231, 229, 232]
        image = np.asarray(Image.open(source / row.file))
        assert abs(pixels[1:-1, 1:-1] - shrunk(image, 4)).max() <= 1


def test_padded_images_with_too_little_tissue_are_left_out(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", images=2, size=40)
    with_glass = preprocess(source, tmp_path / "half", min_tissue=0.5, **LEVELS)
    assert len(with_glass.overviews) == 0
    assert any("no training overviews of benign and malignant" in text for text in with_glass.summary.warnings)
    assert len(preprocess(source, tmp_path / "third", min_tissue=0.3, **LEVELS).overviews) == 12


def test_small_images_are_padded_to_a_patch(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", images=2, size=32)
    save(source / "benign" / "0-0.png", tissue(1, 24, 32))
    save(source / "malignant" / "0-1.png", tissue(1, 8, 32))
    result = preprocess(source, tmp_path, patch_size=32, small_images="pad", min_tissue=0.5)
    index = result.patches.index
    assert "malignant/0-1.png" not in set(index["file"])
    row = index[index["file"] == "benign/0-0.png"].iloc[0]
    pixels = result.patches.images(np.array([row.name]))[0]
    assert (row["x"], row["y"]) == (0, -4)
    np.testing.assert_array_equal(pixels[4:28], tissue(1, 24, 32))
    assert (pixels[[0, 31]] == 255).all()


def test_the_number_of_overviews_per_class_has_a_maximum(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", images=2, size=112)
    every = preprocess(source, tmp_path / "all", **LEVELS).overviews.index
    few = preprocess(source, tmp_path / "few", max_overviews_per_class=5, **LEVELS).overviews.index
    assert few["class_name"].value_counts().to_dict() == {"benign": 5, "malignant": 5}
    columns = ["file", "x", "y"]
    assert set(few[columns].itertuples(index=False)) < set(every[columns].itertuples(index=False))


def test_overviews_without_patches_follow_their_patient() -> None:
    overviews = pd.DataFrame({"file": ["a1", "a2", "b2", "c2"], "patient": ["a", "a", "b", "c"]})
    patches = pd.DataFrame(
        {
            "file": ["a1", "a1", "b1", "b3"],
            "patient": ["a", "a", "b", "b"],
            "split": ["control", "train", "test", "val"],
        }
    )
    assert split_overviews(overviews, patches).tolist() == ["train", "", "", ""]
    assert split_overviews(overviews, patches.iloc[1:3]).tolist() == ["train", "train", "test", ""]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    draw_slides(folder, patients=4, size_px=1024, corrupt=False)
    return folder


@pytest.fixture(scope="module")
def from_slides(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Preprocessed:
    out = tmp_path_factory.mktemp("levels")
    return preprocess(drawn, out, patch_size=32, mpp=1.0, overview_size=0, overview_shrink=4, overview_overlap=32)


def test_overviews_of_slides_are_regions_of_their_class(from_slides: Preprocessed, drawn: Path) -> None:
    index = from_slides.overviews.index
    assert index.groupby("file")["class_name"].nunique().max() == 2
    assert index["mpp"].to_numpy() == pytest.approx(4.0)
    patches = from_slides.patches.index.iloc[0]
    slide = openslide.OpenSlide(drawn / patches["file"])
    side = 128 * round(patches["mpp"] / float(slide.properties["openslide.mpp-x"]))
    gaps = np.diff(np.sort(index.loc[index["file"] == patches["file"], "x"].unique()))
    assert gaps.min() == side * 96 // 128
    for row in index.groupby("file").head(2).itertuples():
        slide = openslide.OpenSlide(drawn / row.file)
        region = np.asarray(slide.read_region((row.x, row.y), 0, (side, side)).convert("RGB"))
        pixels = from_slides.overviews.images(np.array([row.Index]))[0]
        assert abs(pixels - shrunk(region, side // 32)).mean() < 6


def test_overviews_at_a_level_have_the_same_pixels(from_slides: Preprocessed, drawn: Path, tmp_path: Path) -> None:
    level = int(from_slides.patches.index["level"].iloc[0])
    by_level = preprocess(
        drawn, tmp_path, patch_size=32, level=level, overview_size=0, overview_shrink=4, overview_overlap=32
    )
    index, expected = by_level.overviews.index, from_slides.overviews.index
    assert index[["file", "x", "y"]].equals(expected[["file", "x", "y"]])
    assert abs(by_level.overviews.images() - from_slides.overviews.images().astype(float)).mean() < 6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"overview_overlap": 8}, "need an overview_shrink above 0"),
        ({"max_overviews_per_class": 8}, "need an overview_shrink above 0"),
        ({"overview_shrink": 2, "overview_size": 32, "overview_overlap": 64}, "smaller than an overview.* 64 px"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        PreprocessConfig.make({"source": "slides", **values})
