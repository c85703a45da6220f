"""Damaged tables, HDF5 files and names give a one-sentence error."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from histoforge.core.errors import SourceError, StorageError
from histoforge.ingest.tables import read_table
from histoforge.steps import preprocess
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.storage import open_location

LABELS = ("path", "label", "patient")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"path,label\n" + b"x" * 140_000 + b",a\n", "damaged in line 2 .field larger than field limit"),
        (b'path,label\na,"' + b"x" * 140_000, "damaged in line 2"),
        (b"path,label\n\xff\xfe,a\n", "is not UTF-8 text"),
        (b"path,label\na\0b,a\n", ""),
    ],
)
def test_a_damaged_table_is_a_one_sentence_error(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    if not sentence:
        assert len(read_table(tmp_path / "labels.csv", "labels.csv", LABELS).rows) == 1
        return
    with pytest.raises(SourceError, match=sentence):
        read_table(tmp_path / "labels.csv", "labels.csv", LABELS)


def pcam(folder: Path, x: object = None, y: object = None) -> PreprocessConfig:
    """PatchCamelyon's files with other content in the place of images or labels."""
    folder.mkdir()
    for name, content in (("x", x), ("y", y)):
        valid = {"x": np.zeros((4, 8, 8, 3), np.uint8), "y": np.zeros((4, 1, 1, 1), np.uint8)}[name]
        with h5py.File(folder / f"camelyonpatch_level_2_split_train_{name}.h5", "w") as file:
            if callable(content):
                content(file)
            else:
                file[name] = valid if content is None else content
    return PreprocessConfig(source=str(folder), patch_size="8", mpp=0.972)


WRONG = {
    "a group": (lambda file: file.create_group("x"), None),
    "a scalar": (np.uint8(3), None),
    "an empty one": (lambda file: file.__setitem__("x", h5py.Empty("f")), None),
    "text": ("patches", None),
    "an external link": (lambda file: file.__setitem__("x", h5py.ExternalLink("gone.h5", "x")), None),
    "floats": (np.zeros((4, 8, 8, 3)), None),
    "a group of labels": (None, lambda file: file.create_group("y")),
    "labels as text": (None, np.array([b"a", b"b", b"c", b"d"])),
    "labels that are not finite": (None, np.full(4, np.nan)),
    "compound labels": (None, np.zeros(4, [("a", "u1"), ("b", "f4")])),
    "a billion labels": (None, lambda file: file.create_dataset("y", (2**40,), "u1", chunks=(2**20,))),
    "fewer labels": (None, np.zeros(3, np.uint8)),
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("kind", WRONG)
def test_hdf5_with_other_content_is_a_one_sentence_error(tmp_path: Path, kind: str) -> None:
    config = pcam(tmp_path / "pcam", *WRONG[kind])
    with pytest.raises(SourceError, match=r"damaged, truncated|fit together") as error:
        preprocess.run(config, patches=tmp_path / "patches", overviews=tmp_path / "overviews")
    assert "\n" not in str(error.value)


def test_a_file_name_that_is_not_utf_8_is_a_one_sentence_error(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/tum\xff"
    os.mkdir(folder)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", folder + b"/a.png")
    with pytest.raises(StorageError, match=r"The name of the file .*tum\\udcff/a\.png is not UTF-8 text: rename it"):
        open_location(str(tmp_path)).entries()
