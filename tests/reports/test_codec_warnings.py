"""Warnings about real and synthetic patches whose files were compressed in different ways."""

import numpy as np
import pytest
from PIL import Image

from histoforge.evaluation.codecs import codec_warnings
from histoforge.patches import PatchSet, PatchSetWriter
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
