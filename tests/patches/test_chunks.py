"""Pixels are in files of bounded size, each of which is verified before it is used."""

import gc
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_patchset import flip_a_byte, write

from histoforge.core.digests import digest_file, digest_json
from histoforge.core.errors import PatchSetError
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.chunks import CHUNK_BYTES, chunk_names, rows_per_chunk
from histoforge.patches.images import NpyReader

CHUNKS = ["images/00000", "images/00001", "images/00002"]


@pytest.fixture(params=[16, 256])
def written(request, tmp_path, monkeypatch):
    """A patch set of twelve patches in chunks of five, and its pixels."""
    monkeypatch.setattr("histoforge.patches.chunks.CHUNK_BYTES", 5 * 3 * request.param**2)
    return tmp_path / "set", write(tmp_path / "set", request.param)


def reseal(path, **changes):
    info = json.loads((path / "patchset.json").read_text()) | changes
    info["files"] = {name: digest_file(path / name) for name in info["files"]}
    info["digest"] = digest_json({name: info[name] for name in info if name not in ("digest", "images_location")})
    (path / "patchset.json").write_text(json.dumps(info))


def test_pixels_are_read_across_chunks(written):
    path, images = written
    patches = PatchSet.open(path)
    assert sorted(file.with_suffix("").relative_to(path).as_posix() for file in path.glob("images/*")) == CHUNKS
    for rows in ([11, 3, 4, 5, 0, 3], [9, 10], []):
        np.testing.assert_array_equal(patches.images(np.array(rows, np.int64)), images[rows])
    np.testing.assert_array_equal(patches.images(slice(4, 11)), images[4:11])


def test_chunks_do_not_depend_on_how_patches_arrive(written, tmp_path):
    path, images = written
    with PatchSetWriter.create(tmp_path / "other", ["normal", "tumour"], images.shape[1:3], mpp=0.5) as writer:
        for row, image in enumerate(images):
            if row == 7:  # dropped below, so that all later patches move to other places
                writer.add(image[None], label=0)
            writer.add(image[None], label=row % 2, patient=f"p{row // 4}")
        writer.finish({"step": "test"}, keep=np.arange(13) != 7)
    assert PatchSet.open(tmp_path / "other").digest == PatchSet.open(path).digest
    assert not list((tmp_path / "other").glob("tmp*"))


@pytest.mark.parametrize("damage", [flip_a_byte, lambda file: file.write_bytes(file.read_bytes()[:-7])])
def test_damage_is_found_before_a_pixel_of_the_chunk_is_used(written, damage):
    path, images = written
    (file,) = path.glob("images/00001.*")
    damage(file)
    patches = PatchSet.open(path)
    np.testing.assert_array_equal(patches.images(slice(0, 5)), images[:5])
    for read in (lambda: patches.images(np.array([2, 6])), patches.images, patches.verify):
        with pytest.raises(PatchSetError, match=r"images/00001\.\w+ is damaged \(its SHA-256 differs"):
            read()


def test_a_missing_chunk_is_named(written):
    path, _ = written
    next(path.glob("images/00002.*")).unlink()
    with pytest.raises(PatchSetError, match=r"There is no file .*images/00002\."):
        PatchSet.open(path).images(slice(10, 12))


def test_a_chunk_of_another_set_is_refused(written, tmp_path):
    path, images = written
    write(tmp_path / "smaller", images.shape[1] // 2, count=5)
    first, other = (next((tmp_path / name).glob("images/00000.*")) for name in ("set", "smaller"))
    first.write_bytes(other.read_bytes())
    reseal(path)
    with pytest.raises(PatchSetError, match=r"images/00000\.\w+ does not match the description .*: make the set again"):
        PatchSet.open(path).images(np.array([1]))


def test_a_chunk_with_too_few_patches_is_refused(written):
    path, _ = written
    last, first = sorted(path.glob("images/*"))[::2][::-1]
    first.write_bytes(last.read_bytes())
    reseal(path)
    with pytest.raises(PatchSetError, match="it has 2 patches instead of 5"):
        PatchSet.open(path).images(np.array([1]))


def test_a_description_without_a_chunk_is_refused(written):
    path, _ = written
    info = json.loads((path / "patchset.json").read_text())
    reseal(path, files={name: digest for name, digest in info["files"].items() if "00001" not in name})
    with pytest.raises(PatchSetError, match=r"does not match its description .*images/00001"):
        PatchSet.open(path)


def test_sets_of_version_1_stay_readable(tmp_path):
    images = write(tmp_path / "set")
    np.save(tmp_path / "set" / "images.npy", images)
    (tmp_path / "set" / "images" / "00000.npy").unlink()
    reseal(tmp_path / "set", schema_version=1, files={"images.npy": "", "index.parquet": ""})
    patches = PatchSet.open(tmp_path / "set")
    np.testing.assert_array_equal(patches.images(np.array([7, 0])), images[[7, 0]])
    flip_a_byte(tmp_path / "set" / "images.npy")
    with pytest.raises(PatchSetError, match=r"images\.npy is damaged"):
        PatchSet.open(tmp_path / "set").images(np.array([0]))


def test_an_empty_set_has_no_chunks(tmp_path):
    with PatchSetWriter.create(tmp_path / "set", ["normal"], (16, 24)) as writer:
        writer.finish({"step": "test"})
    patches = PatchSet.open(tmp_path / "set")
    patches.verify()
    assert patches.images().shape == (0, 16, 24, 3)


@pytest.mark.parametrize("size", [(64, 64), (96, 128), (256, 256), (4096, 4096)])
def test_chunks_are_of_bounded_size(size):
    rows = rows_per_chunk(size)
    assert rows == 1 or rows * 3 * size[0] * size[1] <= CHUNK_BYTES
    assert len(chunk_names(10 * rows + 1, size)) == 11


def test_arrays_are_opened_in_many_threads(tmp_path):
    """In Python 3.11, NumPy's parser of headers fails in two threads at once, if a finaliser switches between them."""
    np.save(tmp_path / "images.npy", np.zeros((5, 8, 8, 3), np.uint8))

    class SlowlyFinalised:
        def __init__(self):
            self.cycle = self

        def __del__(self):
            time.sleep(1e-4)

    def open_repeatedly(_):
        for _ in range(20):
            SlowlyFinalised()
            assert NpyReader(tmp_path / "images.npy").shape == (5, 8, 8, 3)

    thresholds = gc.get_threshold()
    try:
        for objects in (10, 24, 31, 45, 59, 66, 101):
            gc.set_threshold(objects)
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(open_repeatedly, range(20)))
    finally:
        gc.set_threshold(*thresholds)
