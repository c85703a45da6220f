"""Copies of real patches as references: JPEG of a known quality, and its effect on distances."""

from io import BytesIO

import numpy as np
from PIL import Image

from histoforge.metrics.corruptions import NOISE, RECOMPRESSED, recompressed, reference_copies


def test_a_recompressed_patch_is_what_a_jpeg_of_this_quality_holds():
    image = np.random.default_rng(0).integers(0, 256, (24, 16, 3), dtype=np.uint8)
    stream = BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=75)
    np.testing.assert_array_equal(recompressed(image[None], 75)[0], np.asarray(Image.open(stream)))


def test_the_references_are_named_and_of_the_size_of_the_patches():
    images = np.random.default_rng(1).integers(100, 156, (3, 16, 16, 3), dtype=np.uint8)
    copies = reference_copies(images, np.random.default_rng(2))
    assert all(copy.shape == images.shape and copy.dtype == np.uint8 for copy in copies.values())
    error = {name: float(np.abs(copy.astype(float) - images).mean()) for name, copy in copies.items()}
    assert 0 < error[RECOMPRESSED] < error[NOISE]


def test_no_patches_have_no_copies():
    assert recompressed(np.empty((0, 8, 8, 3), np.uint8), 75).shape == (0, 8, 8, 3)
