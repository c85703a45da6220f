"""The section on attention: the picture of an image and its attention, and nothing where no network weighs tiles."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from made_up import make_findings, make_study
from PIL import Image

from histoforge.classifiers.backbones.tile_grid import TileGrid
from histoforge.evaluation.attention import spread
from histoforge.evaluation.findings import AttentionExample, AttentionMap, TopTile
from histoforge.reports.sections.attention import attention_section

GRID = TileGrid.covering((64, 64), 32, 0)


@pytest.fixture(scope="module")
def findings():
    return make_findings(make_study({"baseline": 0.5}, patients=6, seeds=2))


def example(weights, size=(128, 128)):
    """A grey image with the weights of four tiles, of which the lower left one has the most."""
    tile = TopTile("baseline", "tumour", "p01", 32, 0, 32, 0.7, 4, "tumour", 0.9)
    image = np.full((*size, 3), 128, np.uint8)
    return AttentionExample(image, [AttentionMap(tile, spread(np.array(weights, np.float32), GRID, (64, 64)))])


def test_tiles_that_overlap_share_their_pixels():
    grid = TileGrid.covering((4, 6), 4, 0)
    expected = np.array([[0.2, 0.2, 0.5, 0.5, 0.8, 0.8]], np.float32)
    np.testing.assert_allclose(spread(np.array([[0.2, 0.8]], np.float32), grid, (4, 6)), expected.repeat(4, axis=0))


def test_a_tile_outside_the_bag_keeps_its_colours_and_does_not_stretch_the_range(findings):
    (figure,) = attention_section(replace(findings, attention=[example([[0.1, 0.0], [0.12, 0.11]])])).blocks[0].figures
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(figure.image.partition(",")[2])))).astype(int)
    outside, lowest = picture[16:48, 136 + 80 : 136 + 112], picture[16:48, 136 + 16 : 136 + 48]
    assert np.abs(outside - 128).max() < 6
    assert (lowest[..., 2] - lowest[..., 0]).mean() > 50


def test_tiles_outside_the_bag_do_not_lower_the_weight_of_those_that_overlap_them():
    grid = TileGrid.covering((4, 6), 4, 0)
    expected = np.array([[0, 0, 1, 1, 1, 1]], np.float32)
    np.testing.assert_allclose(spread(np.array([[0, 1]], np.float32), grid, (4, 6)), expected.repeat(4, axis=0))


def test_the_image_stands_beside_its_attention_with_the_highest_tile_framed(findings):
    section = attention_section(replace(findings, attention=[example([[0.1, 0.1], [0.7, 0.1]])]))
    (figure,) = section.blocks[0].figures
    assert figure.caption.startswith("tumour, a test image of p01. baseline: 70% on the framed tile (25% if all 4")
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(figure.image.partition(",")[2])))).astype(int)
    assert picture.shape == (128, 2 * 128 + 8, 3)
    assert np.abs(picture[:, :120] - 128).max() < 6
    overlay = picture[:, 136:]
    warm = overlay[..., 0] - overlay[..., 2]
    assert warm[80:112, 16:48].mean() > 50
    assert warm[16:48, 16:48].mean() < -50
    assert overlay[66, 32].min() > 200  # the white of the frame
    assert overlay[2, 32].max() < 200


def test_without_a_network_that_weighs_tiles_there_is_no_section(findings):
    assert not attention_section(findings).blocks
