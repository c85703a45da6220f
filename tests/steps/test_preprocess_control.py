"""Real patches held back for the positive control: by patient where possible, and used by nothing else."""

from pathlib import Path

import numpy as np
import pytest
from preprocessing import folder_by_patient, preprocess
from test_preprocess_pcam import pcam

from histoforge.patches.splits import hold_back


def patients_of(patches, split: str) -> set[str]:
    return set(patches.split(split).index["patient"])


def test_whole_patients_are_held_back_from_training_alone(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", patients=14)
    whole = preprocess(source, tmp_path / "1", patch_size=32)
    result = preprocess(source, tmp_path / "2", patch_size=32, control_share=0.3)
    assert result.summary.control_by == "patient"
    assert result.summary.patients["control"] == 3
    assert result.summary.counts["control"] == {"benign": 6, "malignant": 6}
    for split in ("val", "test"):
        assert patients_of(result.patches, split) == patients_of(whole.patches, split)
    assert patients_of(result.patches, "control").isdisjoint(patients_of(result.patches, "train"))
    assert patients_of(result.patches, "control") | patients_of(result.patches, "train") == patients_of(
        whole.patches, "train"
    )
    assert not [text for text in result.summary.warnings if "control" in text]
    assert "| control | 3 | 12 |" in result.summary.markdown
    assert "control" not in whole.summary.counts


def test_too_few_patients_give_slides_or_patches_of_training_patients(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", patients=6)  # three to train on, with two slides each
    result = preprocess(source, tmp_path / "1", patch_size=32, control_share=0.25, split_ratios="3:1:2")
    assert result.summary.control_by == "slide"
    assert [text for text in result.summary.warnings if "positive control belong to training patients" in text]
    few = preprocess(
        folder_by_patient(tmp_path / "few", patients=3, images=8),
        tmp_path / "2",
        patch_size=32,
        control_share=0.5,
        split_ratios="1:1:1",
    )
    assert few.summary.control_by == "slide"
    patch = preprocess(
        folder_by_patient(tmp_path / "fewer", patients=3, images=4),
        tmp_path / "3",
        patch_size=32,
        control_share=0.5,
        split_ratios="1:1:1",
    )
    assert patch.summary.control_by == "patch"
    assert patch.summary.counts["control"] == {"benign": 1, "malignant": 1}


def test_patches_beyond_train_fraction_are_taken_first_and_no_patient_is_held_back(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", patients=10, images=8)
    plain = preprocess(source, tmp_path / "1", patch_size=32, train_fraction=0.25)
    result = preprocess(source, tmp_path / "2", patch_size=32, train_fraction=0.25, control_share=0.5)
    assert set(result.patches.split("train").index["file"]) == set(plain.patches.split("train").index["file"])
    assert result.summary.counts["train"] == {"benign": 7, "malignant": 7}
    assert result.summary.counts["control"] == {"benign": 14, "malignant": 14}
    assert (result.summary.control_by, result.summary.dropped) == (
        "patch",
        {"training patches beyond train_fraction": 14},
    )


def test_pcam_reads_the_control_from_the_patches_that_it_would_leave_out(tmp_path: Path) -> None:
    source = pcam(tmp_path / "in")
    plain = preprocess(source, tmp_path / "1", train_fraction=0.2)
    result = preprocess(source, tmp_path / "2", train_fraction=0.2, control_share=0.4)
    assert set(result.patches.split("train").index["file"]) == set(plain.patches.split("train").index["file"])
    assert result.summary.counts["control"] == {"normal": 12, "tumour": 12}
    assert result.summary.dropped == {"training patches beyond train_fraction": 24}
    whole = preprocess(source, tmp_path / "3", control_share=0.25)
    assert sum(whole.summary.counts["control"].values()) == 16


def test_overviews_of_slides_that_are_partly_trained_on_stay_in_training(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", patients=6, size=64)  # four tiles per image
    result = preprocess(source, tmp_path / "1", patch_size=32, train_fraction=0.5, control_share=0.5)
    trained = set(result.patches.split("train").index["file"])
    shared = trained & set(result.patches.split("control").index["file"])
    assert shared
    assert len(result.overviews.split("train")) == len(trained)


@pytest.mark.parametrize("seed", range(6))
def test_every_class_is_on_both_sides_and_near_its_share(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patient = rng.integers(0, 24, 600)
    labels = (patient % 3 + (rng.random(600) < 0.3)) % 3
    groups = [f"p{number}" for number in patient]
    mask, unit = hold_back({"patient": groups}, labels.astype(np.int64), ["a", "b", "c"], 0.25, seed)
    assert unit == "patient"
    assert not {g for g, held in zip(groups, mask, strict=True) if held} & {
        g for g, held in zip(groups, mask, strict=True) if not held
    }
    for label in range(3):
        assert 0.15 < mask[labels == label].mean() < 0.35
