"""The outlook on an evaluation that `preprocess` and `scan_source` give before any training."""

from pathlib import Path

import pytest
from preprocessing import folder_by_patient, preprocess, save, tissue, write_table

from histoforge.core.errors import SettingsError
from histoforge.metrics.bootstrap import MIN_PATIENTS
from histoforge.patches import PatchSet
from histoforge.phantom.slides import draw_slides
from histoforge.tasks import scan_source

TOO_SMALL = "too small for a conclusion"


def warning(warnings: list[str]) -> str:
    (warning_text,) = [text for text in warnings if TOO_SMALL in text]
    return warning_text


def suggested_ratios(text: str) -> str:
    return text.partition("split_ratios=")[2].split()[0].rstrip(",")


def test_too_few_test_patients_are_reported_before_and_after_reading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = folder_by_patient(tmp_path / "in", patients=12)
    result = preprocess(source, tmp_path / "1", patch_size=32)
    text = warning(result.summary.warnings)
    count = result.summary.patients["test"]
    assert count < MIN_PATIENTS
    assert f"it has {count} patients, and at least {MIN_PATIENTS} are needed" in text
    assert warning(result.patches.info.made_by["summary"]["warnings"]) == text
    lines = capsys.readouterr().err.splitlines()
    first, last = (next(i for i, line in enumerate(lines) if word in line) for word in ("will probably be", "split is"))
    read = next(i for i, line in enumerate(lines) if "preprocess: train:" in line)
    assert first < read < last
    assert text in result.summary.markdown

    enough = preprocess(source, tmp_path / "2", patch_size=32, split_ratios=suggested_ratios(text))
    assert enough.summary.patients["test"] >= MIN_PATIENTS
    assert enough.summary.warnings == []
    assert "large enough for a conclusion" in enough.summary.markdown


def test_no_ratio_and_no_folds_are_suggested_if_none_suffice(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", patients=4)
    text = warning(preprocess(source, tmp_path, patch_size=32).summary.warnings)
    assert "split_ratios" not in text
    assert "folds" not in text
    assert text.endswith("add patients, or set split_by=slide, which makes all results too optimistic")


def test_a_class_from_one_test_patient_is_too_few(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for patient in range(30):
        for number in range(2):
            label = "rare" if patient < 3 and number else "common"
            save(source / label / f"p{patient}" / f"{number}.png", tissue(patient * 10 + number))
    text = warning(preprocess(source, tmp_path, patch_size=32).summary.warnings)
    assert "(class 'rare' has 1 patient, and at least 2 per class are needed)" in text
    assert "class 'common'" not in text


def test_an_large_enough_set_has_no_warning_and_a_table_of_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = preprocess(folder_by_patient(tmp_path / "in", patients=30), tmp_path, patch_size=32).summary
    assert summary.warnings == []
    assert summary.patients["test"] == summary.patients_by_class["test"]["benign"] == 6
    assert "| test | 6 | 24 | 12 (6 patients) | 12 (6 patients) |" in summary.markdown
    lines = capsys.readouterr().err
    assert "preprocess: test: 6 patients, 24 patches: benign 12 (6 patients), malignant 12 (6 patients)" in lines
    assert "large enough for a conclusion, which also needs at least 3 seeds" in lines


def test_a_source_with_its_own_split_needs_more_test_patients(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for split in ("train", "val", "test"):
        for patient in range(2):
            for label in ("a", "b"):
                name = f"{split}{patient}"
                save(source / split / label / name / f"{label}.png", tissue(hash_of(name + label)))
    text = warning(preprocess(source, tmp_path, patch_size=32).summary.warnings)
    assert text.endswith("): add patients to the source's test split")


def test_without_validation_patches_the_warning_names_what_needs_them(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", patients=30)
    summary = preprocess(source, tmp_path, patch_size=32, split_ratios="8:0:2").summary
    (text,) = summary.warnings
    assert "no validation patches, which train-classifier and finetune-snn need" in text
    assert "split_ratios" in text


def test_an_external_test_set_needs_neither_training_nor_validation_patches(tmp_path: Path) -> None:
    result = preprocess(folder_by_patient(tmp_path / "in"), tmp_path, patch_size=32, split_ratios="0:0:1")
    assert result.summary.warnings == []
    assert set(result.patches.index["split"]) == {"test"}


def test_a_split_without_test_patches_is_named(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in")
    (text,) = preprocess(source, tmp_path, patch_size=32, split_ratios="2:1:0").summary.warnings
    assert "no test patches, which evaluate needs" in text


def test_images_without_patients_are_counted_as_images(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for label in ("a", "b"):
        for number in range(8):
            save(source / label / f"{label}{number}.png", tissue(ord(label) * 10 + number))
    assert "it has 3 images" in warning(preprocess(source, tmp_path, patch_size=32).summary.warnings)


def test_the_scan_of_phantom_slides_finds_too_few_patients_without_reading_one(tmp_path: Path) -> None:
    for slide in draw_slides(tmp_path / "in", patients=4, size_px=512, corrupt=False):
        slide.write_bytes(b"")
    scan = scan_source.run(str(tmp_path / "in"), "", {"train_classifier.seeds": 2}, {})
    text = warning(scan.warnings)
    assert "will probably be" in text
    assert any("'train_classifier.seeds' is 2" in text and "at least 3" in text for text in scan.warnings)


def test_the_scan_of_enough_patients_has_no_warning(tmp_path: Path) -> None:
    assert scan_source.run(str(folder_by_patient(tmp_path / "in", patients=30)), "", {}, {}).warnings == []


def test_the_scan_leaves_errors_of_the_source_to_preprocess(tmp_path: Path) -> None:
    write_table(tmp_path / "labels.csv", [{"path": "a/1.png", "label": "a"}])
    save(tmp_path / "a" / "1.png", tissue(0))
    assert scan_source.run(str(tmp_path), "", {}, {}).warnings == []
    with pytest.raises(SettingsError, match="split_ratios"):
        scan_source.run(str(tmp_path), "", {"split_ratios": "8:0:2"}, {})


def hash_of(name: str) -> int:
    return int.from_bytes(name.encode(), "big") % 2**32


def test_the_warning_reaches_the_patch_set(tmp_path: Path) -> None:
    preprocess(folder_by_patient(tmp_path / "in"), tmp_path, patch_size=32)
    summary = PatchSet.open(tmp_path / "patches").info.made_by["summary"]
    assert any(TOO_SMALL in text for text in summary["warnings"])
    assert "markdown" not in summary
