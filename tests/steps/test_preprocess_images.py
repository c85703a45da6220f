"""`preprocess` on folders of images: the patches, and every user error."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from preprocessing import folder_by_patient, preprocess, save, tissue, write_table
from real_data import shared_data

from histoforge.core.documents import read_json
from histoforge.core.errors import SourceError
from histoforge.core.results import check_replaceable
from histoforge.ingest.pixels import read_rgb
from histoforge.patches import PatchSet


def test_patches_are_the_images_split_by_patient(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    result = preprocess(source, tmp_path, patch_size=32)
    index = result.patches.index
    for pixels, row in zip(result.patches.images(), index.itertuples(), strict=True):
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(source / row.file)))
        assert row.class_name == row.file.split("/")[0]
    assert index.groupby("patient")["split"].nunique().eq(1).all()
    assert result.summary.counts == result.patches.info.counts
    assert sum(result.summary.patients.values()) == 6
    assert result.summary.patients_known
    assert result.summary.split_by == "patient"
    assert len(result.overviews) == 0


def test_summary_is_recorded_and_equal_input_gives_an_equal_digest(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    first = preprocess(source, tmp_path / "one", patch_size=32, workers=1)
    second = preprocess(source, tmp_path / "three", patch_size=32, workers=3)
    assert first.patches.digest == second.patches.digest
    recorded = first.patches.info.made_by["summary"]
    assert recorded == first.summary.model_dump(mode="json", exclude={"seconds", "markdown"})
    assert recorded["source_digest"] == first.patches.info.made_by["source_digest"]
    assert read_json(tmp_path / "one" / "patches" / "summary.json")["seconds"]["total"] > 0
    save(source / "benign" / "0-0.png", tissue(999))
    changed = preprocess(source, tmp_path / "changed", patch_size=32)
    assert changed.summary.source_digest != first.summary.source_digest


def test_large_images_are_tiled_and_have_overviews_in_the_same_split(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", images=2, size=70)
    glass = tissue(5, 70, 70)
    glass[:, :35] = 244
    save(source / "benign" / "0-0.png", glass)
    result = preprocess(source, tmp_path, patch_size=32, overview_size=48, min_tissue=0.5)
    assert len(result.patches) == 12 * 4 - 2
    assert result.summary.dropped == {"tiles with too little tissue": 2}
    assert len(result.overviews) == result.summary.overviews == 12
    assert result.overviews.patch_size == (48, 48)
    for pixels, row in zip(result.patches.images(), result.patches.index.itertuples(), strict=True):
        assert (row.x, row.y) in {(3, 3), (35, 3), (3, 35), (35, 35)}
        image = np.asarray(Image.open(source / row.file))
        np.testing.assert_array_equal(pixels, image[row.y : row.y + 32, row.x : row.x + 32])
    split_of_file = dict(zip(result.patches.index["file"], result.patches.index["split"], strict=True))
    assert [split_of_file[file] for file in result.overviews.index["file"]] == result.overviews.index["split"].tolist()


def test_known_resolution_is_changed_to_the_patches_resolution(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", size=64)
    result = preprocess(source, tmp_path, patch_size=32, slide_mpp=0.25, mpp=0.5)
    assert result.summary.mpp == 0.5
    image = np.asarray(Image.open(source / result.patches.index["file"][0])).astype(float)
    averaged = image.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert abs(result.patches.images()[0] - averaged).max() <= 1


def test_non_square_patches(tmp_path: Path) -> None:
    result = preprocess(folder_by_patient(tmp_path / "in", size=64), tmp_path, patch_size="64x32")
    assert result.patches.images().shape == (48, 64, 32, 3)


def test_without_a_table_folders_are_classes_and_each_image_is_a_patient(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    (source / "labels.csv").unlink()
    result = preprocess(source, tmp_path, patch_size=32)
    assert not result.summary.patients_known
    assert any("each image counts as a separate patient" in warning for warning in result.summary.warnings)
    assert result.patches.index["patient"].nunique() == 24


def test_patients_from_sub_folders_or_from_a_pattern(tmp_path: Path) -> None:
    for patient in range(4):
        for label in ("a", "b"):
            for number in range(2):
                save(tmp_path / "in" / label / f"p{patient}" / f"{number}.png", tissue(patient * 8 + number))
    by_folder = preprocess(tmp_path / "in", tmp_path / "1", patch_size=32)
    by_pattern = preprocess(tmp_path / "in", tmp_path / "2", patch_size=32, patient_pattern="/p(.)/")
    assert set(by_folder.patches.index["patient"]) == {"p0", "p1", "p2", "p3"}
    assert set(by_pattern.patches.index["patient"]) == {"0", "1", "2", "3"}
    assert by_folder.summary.patients_known
    with pytest.raises(SourceError, match="has no group"):
        preprocess(tmp_path / "in", tmp_path / "3", patch_size=32, patient_pattern="p.")


def test_a_split_of_the_source_is_kept_and_completed_from_the_training_patients(tmp_path: Path) -> None:
    for split, patients in (("train", range(6)), ("test", range(6, 8))):
        for patient in patients:
            for label in ("a", "b"):
                save(tmp_path / "in" / split / label / f"p{patient}" / "0.png", tissue(patient * 2 + (label == "a")))
    result = preprocess(tmp_path / "in", tmp_path, patch_size=32)
    index = result.patches.index
    assert result.summary.split_by == "source"
    assert set(index.loc[index["split"] == "test", "patient"]) == {"p6", "p7"}
    assert result.summary.patients == {"train": 5, "val": 1, "test": 2}


def test_a_split_of_the_source_with_a_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    rows = [
        {"path": f"{('benign', 'malignant')[i % 2]}/{patient}-{i}.png", "patient": f"p{patient}", "split": split}
        for patient in range(6)
        for i, split in enumerate(["train", "train", "test", "test"])
    ]
    write_table(source / "labels.csv", rows)
    with pytest.raises(SourceError, match="patient 'p0' is in several splits of the source, 'train' and 'test'"):
        preprocess(source, tmp_path, patch_size=32)


def test_mixed_sizes_are_refused_skipped_or_enlarged(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    save(source / "benign" / "0-0.png", tissue(1, 20, 40))
    with pytest.raises(SourceError, match=r"0-0.png has 40 x 20 px, less than a patch of 32 x 32: .*small_images"):
        preprocess(source, tmp_path, patch_size=32)
    skipped = preprocess(source, tmp_path / "1", patch_size=32, small_images="skip")
    assert skipped.summary.dropped == {"images smaller than a patch": 1}
    enlarged = preprocess(source, tmp_path / "2", patch_size=32, small_images="resize")
    assert len(enlarged.patches) == 24 + 1
    assert (enlarged.patches.index["file"] == "benign/0-0.png").sum() == 2


def test_a_class_is_capped_fairly_and_training_is_thinned(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", images=6)
    result = preprocess(source, tmp_path / "1", patch_size=32, max_patches_per_class=10)
    assert result.patches.counts.tolist() == [10, 10]
    again = preprocess(source, tmp_path / "2", patch_size=32, max_patches_per_class=10, seed=1)
    assert set(again.patches.index["file"]) != set(result.patches.index["file"])
    whole = preprocess(source, tmp_path / "3", patch_size=32)
    half = preprocess(source, tmp_path / "4", patch_size=32, train_fraction=0.5)
    for label, count in whole.summary.counts["train"].items():
        assert half.summary.counts["train"][label] == round(count / 2)
    assert half.summary.counts["test"] == whole.summary.counts["test"]


EXPECTED = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)


@pytest.mark.parametrize("kind", ["grey", "grey16", "grey16_tiff", "float_tiff", "palette", "rgba", "la", "one_bit"])
def test_every_kind_of_grey_image_becomes_the_same_rgb(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x.tif" if kind.endswith("tiff") else "x.png")
    grey, expected = Image.fromarray(EXPECTED), EXPECTED
    if kind == "grey":
        grey.save(path)
    elif kind == "grey16":
        Image.fromarray(EXPECTED.astype(np.uint16) * 257).save(path)
    elif kind == "grey16_tiff":
        tifffile.imwrite(path, EXPECTED.astype(np.uint16) * 257)
    elif kind == "float_tiff":
        tifffile.imwrite(path, EXPECTED.astype(np.float32) / 255)
    elif kind == "palette":
        image = Image.fromarray((EXPECTED // 4).astype(np.uint8), "P")
        image.putpalette([value for shade in range(64) for value in [shade * 4] * 3])
        image.save(path)
    elif kind == "one_bit":
        grey.convert("1", dither=Image.Dither.NONE).save(path)
        expected = np.where(EXPECTED >= 128, 255, 0)
    else:
        alpha = np.zeros_like(EXPECTED)
        alpha[:4] = 255
        Image.merge("RGBA", [grey] * 3 + [Image.fromarray(alpha)]).convert(kind.upper()).save(path)
        expected = np.where(alpha > 0, EXPECTED, 255)
    np.testing.assert_array_equal(read_rgb(path, "x"), np.repeat(expected[..., None], 3, axis=2))


def test_16_bit_colour_and_cmyk(tmp_path: Path) -> None:
    pixels = tissue(3)
    tifffile.imwrite(tmp_path / "c.tif", pixels.astype(np.uint16) * 257, photometric="rgb")
    np.testing.assert_array_equal(read_rgb(tmp_path / "c.tif", "c"), pixels)
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "k.tif")
    assert abs(read_rgb(tmp_path / "k.tif", "k").astype(int) - pixels).max() <= 2


def test_samples_beyond_their_range_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "f.tif", np.full((8, 8), 300, np.float32))
    with pytest.raises(SourceError, match="float samples outside 0 to 1"):
        read_rgb(tmp_path / "f.tif", "f.tif")
    tifffile.imwrite(tmp_path / "m.tif", np.zeros((8, 8, 7), np.uint8), photometric="minisblack", planarconfig="contig")
    with pytest.raises(SourceError, match="neither grey nor RGB"):
        read_rgb(tmp_path / "m.tif", "m.tif")


def test_damaged_images_are_named_and_skipped_up_to_a_limit(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    for number in range(2):
        path = source / "benign" / f"0-{number * 2}.png"
        path.write_bytes(path.read_bytes()[:200] if number else b"no image")
    result = preprocess(source, tmp_path / "1", patch_size=32)
    assert [failure.name for failure in result.summary.failed] == ["benign/0-0.png", "benign/0-2.png"]
    assert len(result.patches) == 22
    with pytest.raises(SourceError, match=r"max_failed_slides=1 allows \(benign/0-0.png, benign/0-2.png\)"):
        preprocess(source, tmp_path / "2", patch_size=32, max_failed_slides=1)
    assert not (tmp_path / "2" / "patches").exists()


def test_the_same_pixels_under_two_classes_are_named_and_dropped_on_request(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    save(source / "malignant" / "0-1.png", np.asarray(Image.open(source / "benign" / "0-0.png")))
    kept = preprocess(source, tmp_path / "1", patch_size=32)
    assert len(kept.patches) == 24
    assert "benign/0-0.png (benign) and malignant/0-1.png (malignant)" in kept.summary.warnings[0]
    assert "drop_conflicts" in kept.summary.warnings[0]
    dropped = preprocess(source, tmp_path / "2", patch_size=32, drop_conflicts=True)
    assert len(dropped.patches) == 22
    assert dropped.summary.dropped == {"patches under two classes": 2}
    assert not set(dropped.patches.index["file"]) & {"benign/0-0.png", "malignant/0-1.png"}


def test_the_warning_names_a_file_with_every_conflict(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    shared = {f"benign/{patient}-0.png": f"malignant/{patient}-1.png" for patient in range(5)}
    for benign, malignant in shared.items():
        save(source / malignant, np.asarray(Image.open(source / benign)))
    kept = preprocess(source, tmp_path / "1", patch_size=32)
    assert "(and 2 more); all 5 are in conflicts.csv of the patch set" in kept.summary.warnings[0]
    table = pd.read_csv(tmp_path / "1" / "patches" / "conflicts.csv")
    assert check_replaceable(tmp_path / "1" / "patches", ["patches"])
    assert dict(tuple(group["file"]) for _, group in table.groupby("picture")) == shared
    assert list(table["class_name"]) == ["benign", "malignant"] * 5
    assert set(table["same_pixels"]) == {"under two classes"}
    assert not table["left_out"].any()
    split_of_file = dict(zip(kept.patches.index["file"], kept.patches.index["split"], strict=True))
    assert list(table["split"]) == [split_of_file[file] for file in table["file"]]
    preprocess(source, tmp_path / "2", patch_size=32, drop_conflicts=True)
    assert pd.read_csv(tmp_path / "2" / "patches" / "conflicts.csv")["left_out"].all()


def test_the_same_pixels_in_two_splits_are_named_and_kept_in_training_only(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    for patient in range(6):
        save(source / "benign" / f"{patient}-0.png", tissue(0))
    kept = preprocess(source, tmp_path / "1", patch_size=32)
    assert "The same pixels occur in two splits" in kept.summary.warnings[0]
    dropped = preprocess(source, tmp_path / "2", patch_size=32, drop_conflicts=True).patches.index
    twins = dropped[dropped["file"].str.match(r"benign/.-0")]
    assert set(twins["split"]) == {"train"}
    listed = pd.read_csv(tmp_path / "2" / "patches" / "conflicts.csv")
    assert sorted(listed["file"]) == [f"benign/{patient}-0.png" for patient in range(6)]
    assert set(listed.loc[~listed["left_out"], "split"]) == {"train"}
    assert set(listed.loc[listed["left_out"], "split"]) == {"val", "test"}


def test_stain_normalisation_makes_the_stains_of_two_labs_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labs = (np.array([[0.65, 0.70, 0.29], [0.10, 0.95, 0.28]]), np.array([[0.50, 0.78, 0.38], [0.22, 0.85, 0.48]]))
    for patient in range(6):
        for number, label in enumerate(("a", "b")):
            amounts = rng.uniform(0.1, 1.6, (32, 32, 2)) * (1.0 if patient % 2 else 0.7)
            light = 240 * np.exp(-amounts @ labs[patient % 2])
            save(tmp_path / "in" / label / f"p{patient}" / f"{number}.png", light.round().astype(np.uint8))

    def gap(out: str, **values: str) -> float:
        result = preprocess(tmp_path / "in", tmp_path / out, patch_size=32, **values)
        lab = result.patches.index["patient"].str[1].astype(int).to_numpy() % 2
        means = result.patches.images().mean(axis=(1, 2))
        return float(abs(means[lab == 0].mean(axis=0) - means[lab == 1].mean(axis=0)).max())

    raw = gap("raw")
    assert gap("macenko", stain="macenko") < raw / 3
    assert gap("reinhard", stain="reinhard") < raw / 3


FAULTS = [
    ("path,label,patient\nbenign/none.png,benign,p\n", "lists 'benign/none.png', which is not in"),
    ("path,label\nbenign/0-0.png,benign\nbenign/0-0.png,malignant\n", "lists 'benign/0-0.png' twice, in lines 2 and 3"),
    ("path,lable\nbenign/0-0.png,benign\n", "unknown column 'lable' .did you mean 'label'"),
    ("file,label\nbenign/0-0.png,benign\n", "has no column 'path'"),
    ("path,label\nbenign/0-0.png\n", "line 2, has 1 cells instead of 2"),
    ("path,label\nbenign/0-0.png,\n", "gives 'benign/0-0.png' no label"),
    ("path,label,patient\nbenign/0-0.png,benign,\n", "gives 'benign/0-0.png' no patient"),
    ("path,label\n", "lists nothing below its first line"),
    ("path,label,split\nbenign/0-0.png,benign,dev\n", "the split 'dev': write one of train, val, test"),
    ("path,label\nbenign/0-0.png,benign\nbenign/0-2.png,benign\n", "has 1 class .benign., and at least two"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_a_faulty_table_is_one_sentence_and_writes_nothing(tmp_path: Path, text: str, message: str) -> None:
    source = folder_by_patient(tmp_path / "in")
    (source / "labels.csv").write_text(text)
    with pytest.raises(SourceError, match=message) as caught:
        preprocess(source, tmp_path / "out", patch_size=32)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    assert not (tmp_path / "out").exists()


def test_a_table_outside_the_source_with_semicolons_and_a_byte_order_mark(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    text = (source / "labels.csv").read_text().replace(",", ";")
    (source / "labels.csv").unlink()
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8-sig")
    result = preprocess(source, tmp_path, patch_size=32, labels=str(tmp_path / "mine.csv"), kind="images")
    assert result.summary.patients_known
    with pytest.raises(SourceError, match=r"other.csv"):
        preprocess(source, tmp_path, patch_size=32, labels=str(tmp_path / "other.csv"))


def test_classes_are_chosen_ordered_and_ignored(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    (source / "labels.csv").unlink()
    save(source / "artefact" / "x.png", tissue(1))
    result = preprocess(source, tmp_path / "1", patch_size=32, classes="malignant, benign")
    assert result.patches.classes == ["malignant", "benign"]
    assert result.summary.dropped == {"images of other classes": 1}
    result = preprocess(source, tmp_path / "2", patch_size=32, ignore_classes="artefact")
    assert result.patches.classes == ["benign", "malignant"]
    with pytest.raises(SourceError, match="Class 'tumour' of 'classes' does not occur"):
        preprocess(source, tmp_path / "3", patch_size=32, classes="benign,tumour")


def test_one_patient_and_an_empty_folder(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", patients=1)
    with pytest.raises(SourceError, match="1 patient"):
        preprocess(source, tmp_path, patch_size=32)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    with pytest.raises(SourceError, match="no slides and no images"):
        preprocess(tmp_path / "empty", tmp_path)


def test_a_failed_run_leaves_the_earlier_patch_set(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    before = preprocess(source, tmp_path, patch_size=32).patches.digest
    save(source / "benign" / "0-0.png", tissue(1, 8, 8))
    with pytest.raises(SourceError):
        preprocess(source, tmp_path, patch_size=32)
    assert PatchSet.open(tmp_path / "patches").digest == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "overviews", "patches"]


def every_fifth(name: str, folder: Path) -> tuple[Path, str]:
    """Real images, and a table of every fifth of them."""
    source = shared_data("patches", name)
    lines = (source / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\n".join([lines[0], *lines[1::5]]))
    return source, str(folder / "labels.csv")


def test_real_breast_images_by_patient(tmp_path: Path) -> None:
    result = preprocess(shared_data("patches", "breakhis400x"), tmp_path)
    assert len(result.patches) == 306
    assert result.patches.index.groupby("patient")["split"].nunique().eq(1).all()
    assert all(min(counts.values()) > 0 for counts in result.summary.counts.values())


def test_real_osteosarcoma_cannot_be_split_by_patient_and_the_error_advises(tmp_path: Path) -> None:
    source, labels = every_fifth("osteosarcoma10x", tmp_path)
    with pytest.raises(SourceError, match="'non_viable_tumor' comes from 1 patient.* 'val' and 'test'.*split_by=slide"):
        preprocess(source, tmp_path / "1", labels=labels)
    result = preprocess(source, tmp_path / "2", labels=labels, split_by="slide")
    assert result.patches.index.groupby("slide")["split"].nunique().eq(1).all()
    assert result.summary.split_by == "slide"
    assert any("by slide, not by patient" in warning for warning in result.summary.warnings)


def test_real_oral_images_are_tiled_by_patient(tmp_path: Path) -> None:
    source, labels = every_fifth("oral224", tmp_path)
    result = preprocess(source, tmp_path, labels=labels, max_patches_per_class=120)
    assert result.patches.counts.tolist() == [120, 120]
    assert 30 < result.summary.overviews <= 156
    assert result.patches.index.groupby("patient")["split"].nunique().eq(1).all()
