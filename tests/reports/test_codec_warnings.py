"""Warnings about real and synthetic patches whose files were compressed in different ways, and what they rest on."""

import numpy as np
import pytest
from PIL import Image
from real_data import shared_data

from histoforge.evaluation.codecs import codec_warnings
from histoforge.ingest.codecs import slide_codec
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.slides import open_slide
from histoforge.steps.preprocess import run
from histoforge.steps.preprocess_config import PreprocessConfig


def patch_set(path, **made_by):
    with PatchSetWriter.create(path, ["a", "b"], (8, 8)) as writer:
        writer.add(np.zeros((1, 8, 8, 3), np.uint8), label=0)
        writer.finish(made_by)
    return PatchSet.open(path)


@pytest.mark.parametrize(
    ("real", "synthetic", "expected"),
    [
        ({"codecs": {"JPEG": 9}, "jpeg_quality": 90.0}, {"codecs": {"PNG": 4}}, "JPEG of median quality 90, those of"),
        ({"codecs": {"JPEG": 9}, "jpeg_quality": 90.0}, {"codecs": {"JPEG": 4}, "jpeg_quality": 75.0}, "quality 75"),
        ({"codecs": {"JPEG": 9}, "jpeg_quality": 90.0}, {"codecs": {"JPEG": 4}, "jpeg_quality": 88.0}, ""),
        ({"codecs": {"PNG": 9}}, {"codecs": {"PNG": 4}}, ""),
        ({"codecs": {"JPEG2000": 3}}, {"codecs": {"PNG": 4}}, "are JPEG2000, those of synthetic ones PNG"),
        ({"codecs": {"PNG": 3}}, {"codecs": {"GIF": 4}, "origin": {"name": "lab"}}, "those of lab GIF"),
        ({"codecs": {"LZW": 3}}, {"codecs": {"PNG": 4}}, ""),
        ({"codecs": {"unknown": 3}}, {"codecs": {"PNG": 4}}, ""),
        ({"codecs": {"PNG": 9}}, {}, ""),
        ({}, {"codecs": {"JPEG": 4}, "jpeg_quality": 75.0}, ""),
    ],
)
def test_another_codec_or_quality_is_named(tmp_path, real, synthetic, expected):
    warnings = codec_warnings(patch_set(tmp_path / "real", **real), patch_set(tmp_path / "synthetic", **synthetic))
    assert [expected in text for text in warnings] == ([True] if expected else [])


def test_preprocess_records_the_codec_and_quality_of_images(tmp_path):
    rng = np.random.default_rng(0)
    for name, quality in (("a", 60), ("b", 80)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for patient in range(6):
            pixels = rng.integers(60, 160, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"p{name}{patient}.jpg", quality=quality)
    config = PreprocessConfig.make({"source": str(tmp_path / "images"), "patch_size": 16, "min_tissue": 0.0})
    run(config, patches=tmp_path / "patches", overviews=tmp_path / "overviews")
    made_by = PatchSet.open(tmp_path / "patches").info.made_by
    assert made_by["codecs"] == {"JPEG": 12}
    assert made_by["jpeg_quality"] == pytest.approx(70, abs=2)


@pytest.mark.parametrize(
    ("slide", "level", "codec", "quality"),
    [
        ("cmu-1-small-region.svs", 0, "JPEG", 30.0),  # its description says Q=30; its tables stand apart from the tiles
        ("derived-cmu-1-small-region-pyramid.tiff", 2, "JPEG", 90.0),
        ("tcga-cr-7395-01a-01-ts1.svs", 1, "JPEG2000", np.nan),
    ],
)
def test_the_codec_of_a_level_of_a_real_slide(slide, level, codec, quality):
    path = shared_data("wsi", slide)
    with open_slide(path) as opened:
        np.testing.assert_equal(slide_codec(path, opened.level_sizes[level]), (codec, quality))


def test_damaged_slides_have_an_unknown_codec(tmp_path):
    (tmp_path / "a.svs").write_bytes(b"II*\0" + bytes(100))
    assert slide_codec(tmp_path / "a.svs", (64, 64)).name == "unknown"
