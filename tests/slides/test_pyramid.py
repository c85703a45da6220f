"""Pyramidal TIFFs open with their resolution and description, and are never half written."""

import numpy as np
import openslide
import pytest
from small_disk import mounted_small_disk

from histoforge.core.errors import StorageError
from histoforge.slides.pyramid import bands_of, write_pyramid


def picture(height, width, seed=0):
    """A smooth colour gradient, which JPEG keeps well."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 200 // height, columns * 200 // width, np.full_like(rows, 120)], -1).astype(np.uint8)


def test_openslide_reads_pixels_levels_resolution_and_description(tmp_path):
    image = picture(1100, 1500)
    write_pyramid(tmp_path / "s.tiff", (1500, 1100), bands_of(image), 0.25, '{"class": "tumour"}')
    with openslide.OpenSlide(tmp_path / "s.tiff") as slide:
        assert slide.level_dimensions == ((1500, 1100), (750, 550), (375, 275))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.25)
        assert slide.properties["tiff.ImageDescription"] == '{"class": "tumour"}'
        for level, size in enumerate(slide.level_dimensions):
            pixels = np.asarray(slide.read_region((0, 0), level, size).convert("RGB")).astype(int)
            assert np.abs(pixels - image[:: 2**level, :: 2**level][: size[1], : size[0]]).max() < 8


def test_an_unknown_resolution_is_not_made_up(tmp_path):
    write_pyramid(tmp_path / "s.tiff", (300, 300), bands_of(picture(300, 300)), None)
    with openslide.OpenSlide(tmp_path / "s.tiff") as slide:
        assert "openslide.mpp-x" not in slide.properties


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    with mounted_small_disk(tmp_path / "disk", "256k") as disk:
        with pytest.raises(StorageError, match="The disk is full while writing .*s.tiff"):
            write_pyramid(disk / "s.tiff", (1024, 1024), bands_of(noise), 0.5)
        assert list(disk.iterdir()) == []


def test_a_full_disk_for_temporary_files_is_an_error_too(tmp_path, monkeypatch):
    with mounted_small_disk(tmp_path / "scratch", "256k") as scratch:
        monkeypatch.setattr("tempfile.tempdir", str(scratch))
        with pytest.raises(StorageError, match="The disk is full"):
            write_pyramid(tmp_path / "s.tiff", (1024, 1024), bands_of(picture(1024, 1024)), 0.5)
        assert list(scratch.iterdir()) == []
    assert not (tmp_path / "s.tiff").exists()
