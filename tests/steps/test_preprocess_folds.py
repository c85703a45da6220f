"""Cross-validation: `preprocess` with folds, and patch sets opened for one of them."""

from pathlib import Path

import numpy as np
import pytest
from preprocessing import folder_by_patient, preprocess, save, tissue

from histoforge.core.errors import PatchSetError, SettingsError, SourceError
from histoforge.patches import PatchSet
from histoforge.patches.patchset import UNUSED
from histoforge.patches.splits import split_into_folds


def fold_columns(patches: PatchSet) -> list[str]:
    return [f"fold_{fold}" for fold in range(patches.folds)]


def test_every_patient_is_tested_in_one_fold_and_never_trains_there(tmp_path: Path) -> None:
    result = preprocess(folder_by_patient(tmp_path / "in", patients=11), tmp_path, patch_size=32, folds=4)
    index = result.patches.index
    assert result.patches.folds == 4
    tested = np.sum([index[name] == "test" for name in fold_columns(result.patches)], axis=0)
    assert (tested == 1).all()
    for name in fold_columns(result.patches):
        assert (index.groupby("patient")[name].nunique() == 1).all(), "a patient is on two sides of a fold"
        for split in ("train", "val", "test"):
            assert set(index.loc[index[name] == split, "class_name"]) == {"benign", "malignant"}
    sizes = [index.loc[index[name] == "test", "patient"].nunique() for name in fold_columns(result.patches)]
    assert max(sizes) - min(sizes) <= 1
    assert (index["split"] == index["fold_0"]).all()
    assert result.summary.tested == {"": 11, "benign": 11, "malignant": 11}
    assert "4 folds test each of 11 patients once" in result.summary.markdown


def test_without_folds_nothing_changes(tmp_path: Path) -> None:
    patches = preprocess(folder_by_patient(tmp_path / "in"), tmp_path, patch_size=32).patches
    assert patches.folds == 0
    assert not [name for name in patches.index if name.startswith("fold_")]


def test_a_patch_set_opened_for_a_fold_has_its_splits_and_the_same_digest(tmp_path: Path) -> None:
    whole = preprocess(folder_by_patient(tmp_path / "in", patients=9), tmp_path, patch_size=32, folds=3).patches
    fold = PatchSet.open(tmp_path / "patches", 2)
    assert fold.fold == fold.split("test").fold == 2
    assert fold.digest == whole.digest
    assert (fold.index["split"] == whole.index["fold_2"]).all()
    assert fold.info.counts["test"]["benign"] == int(fold.split("test").counts[0])
    assert set(fold.split("test").index["patient"]).isdisjoint(fold.split("train").index["patient"])
    with pytest.raises(PatchSetError, match="the folds 0 to 2, and fold 3 was asked for"):
        PatchSet.open(tmp_path / "patches", 3)


def test_a_single_split_has_no_folds_to_open(tmp_path: Path) -> None:
    preprocess(folder_by_patient(tmp_path / "in"), tmp_path, patch_size=32)
    with pytest.raises(PatchSetError, match="a single split, and fold 0 was asked for"):
        PatchSet.open(tmp_path / "patches", 0)


def test_a_fraction_is_taken_of_each_folds_training_patches(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", patients=9)
    whole = preprocess(source, tmp_path / "1", patch_size=32, folds=3).patches
    half = preprocess(source, tmp_path / "2", patch_size=32, folds=3, train_fraction=0.5).patches
    assert len(half) == len(whole), "a patch that one fold leaves out is tested in another"
    for name in fold_columns(whole):
        before, after = whole.index[name], half.index[name]
        assert set(before) == {"train", "val", "test"}
        assert (after == "train").sum() == (before == "train").sum() / 2
        assert (after[before == "train"] != "train").sum() == (after == UNUSED).sum()
        assert (after[before != "train"] == before[before != "train"]).all()


def test_folds_keep_slides_together_where_the_split_is_by_slide(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", patients=2, images=12)
    patches = preprocess(source, tmp_path, patch_size=32, folds=3, split_by="slide").patches
    slides = patches.index.groupby("slide")
    assert all((slides[name].nunique() == 1).all() for name in fold_columns(patches))


def test_a_class_with_fewer_patients_than_folds_is_a_warning(tmp_path: Path) -> None:
    for patient in range(10):
        save(tmp_path / "in" / "common" / f"p{patient}" / "0.png", tissue(patient))
        if patient < 3:
            save(tmp_path / "in" / "rare" / f"p{patient}" / "0.png", tissue(100 + patient))
    result = preprocess(tmp_path / "in", tmp_path, patch_size=32, folds=5)
    (text,) = result.summary.warnings
    assert text.startswith("Class 'rare' comes from 3 patients, fewer than folds=5")
    rare = result.patches.index[result.patches.index["class_name"] == "rare"]
    assert len({name for name in fold_columns(result.patches) if (rare[name] == "test").any()}) == 3


@pytest.mark.parametrize(
    ("patients", "rare", "folds", "message"),
    [
        (6, 6, 7, "The source has 6 patients, and folds=7 needs at least one patient per fold: set folds to at most 6"),
        (6, 2, 3, "Class 'rare' comes from 2 patients, and folds=3 needs at least 3"),
    ],
)
def test_too_few_patients_stop_before_anything_is_read(
    tmp_path: Path, patients: int, rare: int, folds: int, message: str
) -> None:
    for patient in range(patients):
        save(tmp_path / "in" / "common" / f"p{patient}" / "0.png", tissue(patient))
        if patient < rare:
            save(tmp_path / "in" / "rare" / f"p{patient}" / "0.png", tissue(100 + patient))
    with pytest.raises(SourceError, match=message):
        preprocess(tmp_path / "in", tmp_path / "out", patch_size=32, folds=folds)
    assert not (tmp_path / "out" / "patches").exists()


def test_a_source_with_its_own_split_has_no_folds(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for number, label in enumerate(("a", "b")):
            save(tmp_path / "in" / split / label / "0.png", tissue(len(split) * 10 + number))
    with pytest.raises(SourceError, match="a split of its own, which folds=3 would replace: set folds=0"):
        preprocess(tmp_path / "in", tmp_path / "out", patch_size=32, folds=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"folds": 1}, "0 \\(a single split\\) or at least 2"), ({"folds": 3, "split_ratios": "0:0:1"}, "training")],
)
def test_settings_of_folds_are_checked(tmp_path: Path, values: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        preprocess(tmp_path, tmp_path / "out", patch_size=32, **values)


def test_equal_pixels_of_two_patients_are_reported_and_left_out_of_all_folds_but_one(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", patients=8)
    same = sorted((source / "benign").glob("*-0.png"))
    for image in same:
        image.write_bytes(same[0].read_bytes())
    kept = preprocess(source, tmp_path / "1", patch_size=32, folds=4)
    assert any("same pixels occur in two folds" in text for text in kept.summary.warnings)
    left = preprocess(source, tmp_path / "2", patch_size=32, folds=4, drop_conflicts=True).patches
    copies = left.index[left.index["file"].isin([f"benign/{image.name}" for image in same])]
    assert 1 <= len(copies) < len(same)
    assert len({name for name in fold_columns(left) if (copies[name] == "test").any()}) == 1


def test_folds_depend_on_the_seed_and_not_on_the_order_of_patches() -> None:
    groups = [f"p{number // 3}" for number in range(60)]
    labels = np.arange(60) % 2
    order = np.random.default_rng(0).permutation(60)
    folds = split_into_folds(groups, labels, 2, 5, seed=1)
    shuffled = split_into_folds([groups[row] for row in order], labels[order], 2, 5, seed=1)
    assert (shuffled == folds[order]).all()
    assert (split_into_folds(groups, labels, 2, 5, seed=2) != folds).any()


def test_too_few_test_patients_lead_to_a_proposal_of_folds(tmp_path: Path) -> None:
    source = folder_by_patient(tmp_path / "in", patients=12)
    (text,) = preprocess(source, tmp_path / "1", patch_size=32).summary.warnings
    assert "set folds=5, which tests each of the 12 patients once" in text
    followed = preprocess(source, tmp_path / "2", patch_size=32, folds=5).summary
    assert followed.warnings == []
    assert "large enough for a conclusion" in followed.markdown


def test_folds_of_too_few_patients_are_still_too_few(tmp_path: Path) -> None:
    (text,) = preprocess(
        folder_by_patient(tmp_path / "in", patients=4), tmp_path, patch_size=32, folds=4
    ).summary.warnings
    assert text.startswith("The test of all folds together is too small for a conclusion (it has 4 patients")
    assert "folds=" not in text
