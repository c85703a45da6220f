"""Blocks of patches: all rows in order, of bounded size, and whole batches."""

import numpy as np
import pytest
import torch

from histoforge.patches import PatchSet, PatchSetWriter, blocks
from histoforge.patches.device import to_unit

PIXELS = np.random.default_rng(0).integers(0, 256, (11, 6, 8, 3), dtype=np.uint8)


@pytest.fixture(params=["array", "patch set"])
def patches(request, tmp_path):
    if request.param == "array":
        return PIXELS
    with PatchSetWriter.create(tmp_path / "set", ["a"], (6, 8), mpp=1.0) as writer:
        writer.add(PIXELS, label=0)
        writer.finish({})
    return PatchSet.open(tmp_path / "set")


@pytest.mark.parametrize(
    ("bytes_", "options", "sizes"),
    [
        (5 * PIXELS[0].nbytes, {}, [5, 5, 1]),
        (5 * PIXELS[0].nbytes, {"most": 3}, [3, 3, 3, 2]),
        (5 * PIXELS[0].nbytes, {"multiple": 2}, [4, 4, 3]),
        (1, {"multiple": 4}, [4, 4, 3]),
        (1, {}, [1] * 11),
    ],
)
def test_blocks_are_as_large_as_fits_and_keep_batches_whole(monkeypatch, patches, bytes_, options, sizes):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", bytes_)
    rows, pixels = zip(*blocks.read_blocks(patches, **options), strict=True)
    assert [len(block) for block in pixels] == sizes
    np.testing.assert_array_equal(np.concatenate(pixels), PIXELS)
    assert [row for each in rows for row in range(each.start, each.stop)] == list(range(11))


@pytest.mark.parametrize("batch_size", [2, 4, 100])
def test_batches_do_not_depend_on_the_blocks(monkeypatch, patches, batch_size):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 5 * PIXELS[0].nbytes)
    rows, images = zip(*blocks.read_batches(patches, batch_size, torch.device("cpu")), strict=True)
    assert [each.start for each in rows] == list(range(0, 11, batch_size))
    expected = to_unit(torch.from_numpy(PIXELS).permute(0, 3, 1, 2))
    torch.testing.assert_close(torch.cat(images), expected, rtol=0, atol=0)
