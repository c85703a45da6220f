"""Slides have the same pixels as in OpenSlide, and unreadable ones end with one sentence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from dicom_making import write_dicom
from real_data import shared_data

from histoforge.core.errors import SlideError
from histoforge.slides import find_tissue, open_slide
from histoforge.slides.ome import ome_mpp

pytest_plugins = ["slide_making"]
MakeSlide = Callable[..., Path]


def test_pixels_are_those_of_openslide(phantoms: Path) -> None:
    path = phantoms / "phantom-p01-s1.tiff"
    reference = np.asarray(openslide.OpenSlide(path).read_region((301, 402), 0, (333, 222)))[..., :3]
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(301, 402, 0, 333, 222), reference)


def test_pixels_outside_the_slide_have_the_background_colour(make_slide: MakeSlide, noise: np.ndarray) -> None:
    with open_slide(make_slide(noise)) as slide:
        pixels = slide.read(-10, -20, 0, 40, 50)
    assert (pixels[:20] == 255).all()
    assert (pixels[:, :10] == 255).all()
    np.testing.assert_array_equal(pixels[20:, 10:], noise[:30, :30])


def test_omitted_tiles_have_the_background_colour(tmp_path: Path) -> None:
    tile = np.full((128, 128, 3), 77, np.uint8)
    tiles = iter([tile, None, None, tile])
    path = tmp_path / "sparse.tiff"
    kind = {"shape": (256, 256, 3), "dtype": np.uint8, "tile": (128, 128), "photometric": "rgb"}
    tifffile.imwrite(path, tiles, compression="lzw", metadata=None, **kind)
    with open_slide(path) as slide:
        pixels = slide.read(0, 0, 0, 256, 256)
    assert (pixels[:128, :128] == 77).all()
    assert (pixels[:128, 128:] == 255).all()


def test_half_transparent_pixels_are_blended_with_the_background() -> None:
    from histoforge.slides.reading import _fill_background

    bgra = np.array([[[50, 60, 70, 128], [0, 0, 0, 0], [1, 2, 3, 255]]], np.uint8)
    _fill_background((200, 100, 255), bgra)
    np.testing.assert_array_equal(bgra[0, 1], [255, 100, 200, 255])
    np.testing.assert_array_equal(bgra[0, 2], [1, 2, 3, 255])
    np.testing.assert_allclose(bgra[0, 0, :3], [50 + 127, 60 + 49.8, 70 + 99.6], atol=1)


def test_mpp_comes_from_the_resolution_tags(make_slide: MakeSlide, noise: np.ndarray) -> None:
    with open_slide(make_slide(noise, mpp=0.25)) as slide:
        assert slide.required_mpp() == pytest.approx(0.25, rel=1e-6)


def test_missing_mpp_names_the_parameter_and_may_be_given(make_slide: MakeSlide, noise: np.ndarray) -> None:
    path = make_slide(noise, mpp=None)
    with open_slide(path) as slide, pytest.raises(SlideError, match=r"mpp.*--set preprocess\.slide_mpp"):
        slide.required_mpp()
    with open_slide(path, mpp=0.46) as slide:
        assert slide.required_mpp() == 0.46


def test_an_implausible_resolution_is_ignored(make_slide: MakeSlide, noise: np.ndarray) -> None:
    with open_slide(make_slide(noise, mpp=350.0)) as slide:
        assert slide.mpp is None


def test_missing_text_and_truncated_files_do_not_open(tmp_path: Path, phantoms: Path) -> None:
    text = tmp_path / "text.svs"
    text.write_text("no slide")
    for path in (tmp_path / "none.svs", text, phantoms / "phantom-corrupt.tiff"):
        with pytest.raises(SlideError, match=path.name):
            open_slide(path)


def test_the_broken_real_slide_does_not_open() -> None:
    with pytest.raises(SlideError, match=r"broken\.svs does not open"):
        open_slide(shared_data("wsi", "negative", "broken.svs"))


def test_damage_inside_a_slide_is_named(tmp_path: Path, phantoms: Path) -> None:
    content = bytearray((phantoms / "phantom-p01-s1.tiff").read_bytes())
    content[2000 : len(content) - 2000] = bytes(len(content) - 4000)
    path = tmp_path / "damaged.tiff"
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"damaged\.tiff"), open_slide(path) as slide:
        find_tissue(slide)


def test_real_slides_state_or_lack_their_mpp() -> None:
    with open_slide(shared_data("wsi", "cmu-1-small-region.svs")) as slide:
        assert slide.mpp == pytest.approx(0.499)
    with open_slide(shared_data("wsi", "tcga-cr-7395-01a-01-ts1.svs")) as slide:
        assert slide.mpp is None


def write_ome(path: Path, image: np.ndarray, size: float | None, unit: str, tags: float | None = None) -> Path:
    """An OME-TIFF that states a pixel's physical size, and another one in its resolution tags."""
    metadata = {"axes": "YXS"}
    if size is not None:
        metadata |= {"PhysicalSizeX": size, "PhysicalSizeXUnit": unit, "PhysicalSizeY": size, "PhysicalSizeYUnit": unit}
    resolution = {} if tags is None else {"resolution": (1e4 / tags,) * 2, "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, image, tile=(128, 128), photometric="rgb", ome=True, metadata=metadata, **resolution)
    return path


@pytest.mark.parametrize(
    ("size", "unit", "tags", "mpp"),
    [
        (0.25, "µm", None, 0.25),
        (250, "nm", None, 0.25),
        (0.0005, "mm", 352.8, 0.5),  # the tags say 72 pixels per inch
        (1, "pixel", 0.5, 0.5),
        (None, "", 0.5, 0.5),
        (None, "", None, None),
        (352.8, "µm", None, None),
    ],
)
def test_the_physical_size_of_an_ome_tiff_is_its_resolution(tmp_path, noise, size, unit, tags, mpp) -> None:
    with open_slide(write_ome(tmp_path / "b.ome.tif", noise, size, unit, tags)) as slide:
        assert slide.mpp == (mpp if mpp is None else pytest.approx(mpp, rel=1e-3))
        assert slide.name == "b"
        np.testing.assert_array_equal(slide.read(10, 20, 0, 30, 40), noise[20:60, 10:40])


@pytest.mark.parametrize("text", ["", "<OME", "<OME><Image/></OME>", '<!DOCTYPE a [<!ENTITY b "c">]><OME/>', "<OME>\0"])
def test_other_descriptions_state_no_resolution(text: str) -> None:
    assert ome_mpp(text) is None


def test_a_dicom_slide_has_its_levels_its_resolution_and_the_name_of_its_folder(tmp_path, noise) -> None:
    path = write_dicom(tmp_path / "case-7", noise, mpp=0.25, levels=3)
    with open_slide(path) as slide:
        assert (slide.name, slide.mpp) == ("case-7", pytest.approx(0.25, rel=1e-4))
        assert list(slide.level_sizes) == [(700, 600), (350, 300), (175, 150)]
        np.testing.assert_array_equal(slide.read(100, 200, 0, 300, 200), noise[200:400, 100:400])
        np.testing.assert_array_equal(slide.read(100, 200, 1, 50, 60), noise[200:320:2, 100:200:2])
