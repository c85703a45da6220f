"""The step `import_patches`: what it reads, how images become patches, what it records, and each refusal."""

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from PIL import Image
from textures import CLASSES, stripes, write_stripes

from histoforge.core.errors import PatchSetError, SourceError, StorageError
from histoforge.ingest.codecs import read_codec
from histoforge.ingest.pixels import resize
from histoforge.patches import PatchSet
from histoforge.steps.import_patches import run
from histoforge.steps.import_patches_config import ImportPatchesConfig

SIZE = 24


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    """A patch set of real patches of 24 px at 0.5 um/px."""
    path = tmp_path_factory.mktemp("real") / "patches"
    write_stripes(path, (4, 4), (2, 2), (2, 2), size=SIZE)
    return path


def write_folder(
    folder: Path, names=tuple(CLASSES), count=3, size=SIZE, suffix="png", **options
) -> dict[str, np.ndarray]:
    """Write images into one folder per class; return them by path below `folder`."""
    written = {}
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(stripes([label] * count, size, seed=label)):
            file = f"{name}/{number}.{suffix}"
            Image.fromarray(image).save(folder / file, **options)
            written[file] = image
    return written


def imported(source, real: Path, out: Path, **values):
    summary = run(ImportPatchesConfig.make({"source": str(source), **values}), patches=real, synthetic=out)
    return summary, PatchSet.open(out)


def test_images_in_folders_by_class_become_a_synthetic_patch_set(real, tmp_path):
    written = write_folder(tmp_path / "Vendor X", names=("Coarse", "FINE"))
    summary, patches = imported(tmp_path / "Vendor X", real, tmp_path / "out", source_mpp=0.5)
    assert patches.info.synthetic
    assert (patches.classes, patches.patch_size, patches.info.mpp) == (CLASSES, (SIZE, SIZE), 0.5)
    for pixels, row in zip(patches.images(), patches.index.itertuples(), strict=True):
        np.testing.assert_array_equal(pixels, written[row.file])
        assert row.class_name == row.file.split("/")[0].lower()
    assert set(patches.index["method"]) == {summary.name} == {"vendor_x"}
    assert summary.counts == {"coarse": 3, "fine": 3}
    assert (summary.kind, summary.codecs, summary.jpeg_quality) == ("folders", {"PNG": 6}, None)


def test_a_table_names_the_class_of_each_image_and_may_have_other_columns(real, tmp_path):
    written = write_folder(tmp_path / "in", names=("a", "b"))
    with open(tmp_path / "in" / "labels.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows([("path", "label", "seed"), *((name, CLASSES["b" in name], 7) for name in written)])
    summary, patches = imported(tmp_path / "in", real, tmp_path / "out", source_mpp=0.5)
    assert summary.kind == "table"
    assert patches.index["class_name"].tolist() == [CLASSES["b" in name] for name in written]


def test_classes_are_mapped_by_parameter_or_by_the_origin_file_and_others_left_out(real, tmp_path):
    write_folder(tmp_path / "in", names=("wide", "narrow", "glass"))
    (tmp_path / "in" / "origin.yaml").write_text(
        "name: Lab 7\norigin: a diffusion model of lab 7\nlicence: CC-BY-4.0\nmpp: 0.5\nclasses:\n  wide: coarse\n"
    )
    settings = {"class_map": "Narrow = fine", "ignore_classes": "glass"}
    summary, patches = imported(tmp_path / "in", real, tmp_path / "out", **settings)
    assert summary.counts == {"coarse": 3, "fine": 3}
    assert summary.left_out == {"images of ignored classes": 3}
    assert summary.warnings == []
    expected = {"name": "lab_7", "origin": "a diffusion model of lab 7", "licence": "CC-BY-4.0"}
    assert patches.info.made_by["origin"] == expected


def test_images_are_resized_to_the_real_resolution_and_cropped_to_their_centre(real, tmp_path):
    written = write_folder(tmp_path / "in", size=80)
    summary, patches = imported(tmp_path / "in", real, tmp_path / "out", source_mpp=0.25)
    assert summary.scale == 0.5
    for pixels, file in zip(patches.images(), patches.index["file"], strict=True):
        np.testing.assert_array_equal(pixels, resize(written[file], (40, 40))[8:32, 8:32])


def test_shrink_takes_the_largest_centre_whatever_the_resolution(real, tmp_path):
    (tmp_path / "in").mkdir()
    for label, name in enumerate(CLASSES):
        (tmp_path / "in" / name).mkdir()
        wide = np.concatenate([stripes([label], 48), np.zeros((1, 48, 32, 3), np.uint8)], axis=2)[0]
        Image.fromarray(wide).save(tmp_path / "in" / name / "0.png")
    _, patches = imported(tmp_path / "in", real, tmp_path / "out", fit="shrink")
    expected = resize(np.asarray(Image.open(tmp_path / "in" / "fine" / "0.png"))[:, 16:64], (SIZE, SIZE))
    np.testing.assert_array_equal(patches.images()[1], expected)


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_is_estimated_from_its_tables(tmp_path, quality):
    Image.fromarray(stripes([0], SIZE)[0]).save(tmp_path / "x.jpg", quality=quality)
    assert read_codec(tmp_path / "x.jpg") == ("JPEG", quality)


def test_codec_and_quality_are_recorded_with_each_patch(real, tmp_path):
    write_folder(tmp_path / "in", suffix="jpg", quality=80)
    write_folder(tmp_path / "in", count=1)
    summary, patches = imported(tmp_path / "in", real, tmp_path / "out", source_mpp=0.5)
    assert summary.codecs == patches.info.made_by["codecs"] == {"JPEG": 6, "PNG": 2}
    assert summary.jpeg_quality == 80
    assert patches.index["quality"][patches.index["codec"] == "JPEG"].tolist() == [80.0] * 6


def test_a_patch_set_keeps_its_pixels_and_what_it_states(real, tmp_path):
    write_folder(tmp_path / "in", suffix="jpg", quality=80)
    settings = {"source_mpp": 0.5, "origin": "lab 7", "licence": "CC0", "name": "lab"}
    _, first = imported(tmp_path / "in", real, tmp_path / "first", **settings)
    summary, second = imported(tmp_path / "first", real, tmp_path / "second")
    np.testing.assert_array_equal(first.images(), second.images())
    assert (summary.kind, summary.name, summary.licence) == ("patch set", "lab", "CC0")
    assert summary.codecs == {"JPEG": 6}


def test_a_maximum_draws_by_seed_and_neither_threads_nor_repetition_change_the_result(real, tmp_path):
    write_folder(tmp_path / "in", count=9)
    settings = {"source_mpp": 0.5, "max_patches_per_class": 4}
    summary, first = imported(tmp_path / "in", real, tmp_path / "first", workers=1, **settings)
    _, second = imported(tmp_path / "in", real, tmp_path / "second", workers=3, **settings)
    _, other = imported(tmp_path / "in", real, tmp_path / "other", seed=1, **settings)
    assert summary.counts == {"coarse": 4, "fine": 4}
    assert summary.left_out == {"images beyond max_patches_per_class": 10}
    assert first.digest == second.digest
    assert first.index["file"].tolist() != other.index["file"].tolist()


def make_unknown_class(folder):
    (folder / "fine").rename(folder / "fin")
    return "has the class 'fin'.*coarse, fine.*did you mean 'fine'.*--class-map 'fin="


def make_missing_class(folder):
    for path in (folder / "fine").iterdir():
        path.unlink()
    return "has no image of the class 'fine'"


def make_damaged_image(folder):
    path = folder / "fine" / "1.png"
    path.write_bytes(path.read_bytes()[:200])
    return "fine/1.png cannot be read"


def make_small_image(folder):
    Image.fromarray(stripes([1], 20)[0]).save(folder / "fine" / "1.png")
    return r"fine/1.png has 20 x 20 px, less than a patch of 24 x 24: .*--fit shrink"


def make_stray_image(folder):
    (folder / "fine" / "1.png").rename(folder / "1.png")
    return "has 1 image outside a class folder"


def make_unlisted_file(folder):
    (folder / "labels.csv").write_text("path,label\nfine/7.png,fine\n")
    return "lists 'fine/7.png', which is not in"


def make_unknown_entry(folder):
    (folder / "origin.yaml").write_text("license: CC0\n")
    return "origin.yaml has the entry 'license'.*did you mean 'licence'"


def make_wrong_resolution(folder):
    (folder / "origin.yaml").write_text("mpp: fine\n")
    return r"in/origin.yaml: 'mpp' must be a number, not 'fine'; write lines such as"


def make_resolution_that_is_no_number(folder):
    (folder / "origin.yaml").write_text("mpp: true\n")
    return r"in/origin.yaml: 'mpp' must be a number, not True; write lines such as"


def make_two_classes_of_one(folder):
    (folder / "origin.yaml").write_text("classes: {fine: coarse, FINE: fine}\n")
    return r"in/origin.yaml maps the class 'FINE' twice: leave one of the two out"


def make_real_patches(folder):
    shutil.rmtree(folder)
    write_stripes(folder, (4, 4), (2, 2), (2, 2), size=SIZE)
    return r"The patches of .*/in are real, .* test split: give a synthetic patch set"


CHANGES = [
    make_unknown_class,
    make_missing_class,
    make_damaged_image,
    make_small_image,
    make_stray_image,
    make_unlisted_file,
    make_unknown_entry,
    make_wrong_resolution,
    make_resolution_that_is_no_number,
    make_two_classes_of_one,
    make_real_patches,
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_fit_is_refused_with_one_sentence_and_nothing_is_written(real, tmp_path, capsys, change):
    write_folder(tmp_path / "in")
    expected = change(tmp_path / "in")
    arguments = ["--source", tmp_path / "in", "--source-mpp", 0.5, "--patches", real, "--out", tmp_path / "out"]
    done = call(capsys, "import-patches", *arguments)
    assert done.code == 2
    assert re.search(expected, done.err.splitlines()[-1]), done.err
    assert not (tmp_path / "out").exists()


def test_an_unknown_resolution_is_asked_for(real, tmp_path):
    write_folder(tmp_path / "in")
    with pytest.raises(SourceError, match=r"unknown, and the real patches have 0.5 um/px: set source_mpp .*fit=shrink"):
        imported(tmp_path / "in", real, tmp_path / "out")


def test_images_too_small_at_the_real_resolution_are_refused(real, tmp_path):
    write_folder(tmp_path / "in", size=40)
    with pytest.raises(SourceError, match="has 40 x 40 px, which are 20 x 20 px at the resolution of the real"):
        imported(tmp_path / "in", real, tmp_path / "out", source_mpp=0.25)


def test_an_empty_location_and_a_damaged_patch_set_are_refused(real, tmp_path):
    with pytest.raises(StorageError, match="There is nothing at"):
        imported(tmp_path / "nowhere", real, tmp_path / "out")
    write_folder(tmp_path / "in")
    imported(tmp_path / "in", real, tmp_path / "set", source_mpp=0.5)
    with open(tmp_path / "set" / "images" / "00000.npy", "r+b") as file:
        file.seek(500)
        file.write(b"\x01\x02")
    with pytest.raises(PatchSetError, match=r"00000.npy is damaged"):
        imported(tmp_path / "set", real, tmp_path / "out")
