"""`histoforge export` and `histoforge generate`: PNG files equal to the pixels, datasheets, and bad input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import call
from PIL import Image
from slides_of_patients import write_patients
from untrained_generator import save_generator

from histoforge.core.seeds import derive_seed
from histoforge.generators.loading import draw, load_generator
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.export import class_folders

CLASSES = ["benign", "tumour"]
GENERATOR, POOL = "a" * 64, "b" * 64
Capture = pytest.CaptureFixture[str]


def write_selected(path: Path, **made_by: Any) -> PatchSet:
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
    columns = {"method": "histogan", "generator": GENERATOR, "seed": 3, "entropy": np.linspace(0, 1, 6)}
    config = {"rule": "distance", "ratio": 0.5, "batch_size": 8}
    with PatchSetWriter.create(path, CLASSES, (16, 16), 0.5, synthetic=True) as writer:
        writer.add(images, label=[0, 0, 1, 1, 1, 0], **columns)
        writer.finish({"step": "select_samples", "config": config, "pool": POOL, **made_by})
    return PatchSet.open(path)


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sets") / "selected"
    write_selected(path)
    return path


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "generator"
    save_generator(path, classes=CLASSES)
    return path


def test_the_files_have_the_pixels_and_the_labels(selected: Path, tmp_path: Path, capsys: Capture) -> None:
    assert call(capsys, "export", selected, "--out", tmp_path / "out").code == 0
    patches, labels = PatchSet.open(selected), pd.read_csv(tmp_path / "out" / "labels.csv")
    assert labels["label"].tolist() == patches.index["class_name"].tolist()
    for path, label, pixels in zip(labels["path"], labels["label"], patches.images(), strict=True):
        assert path.startswith(f"{label}/")
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / path)), pixels)
    columns = pd.read_csv(tmp_path / "out" / "patches.csv")
    assert columns["entropy"].tolist() == pytest.approx(patches.index["entropy"].tolist())
    assert set(columns["generator"]) == {GENERATOR}


def test_the_datasheet_has_origin_selection_and_no_audit(selected: Path, tmp_path: Path, capsys: Capture) -> None:
    ended = call(capsys, "export", selected, "--out", tmp_path / "out")
    assert "there is no audit of this set" in ended.err
    sheet = json.loads((tmp_path / "out" / "datasheet.json").read_text())
    assert sheet["generators"] == [{"method": "histogan", "digest": GENERATOR, "patches": 6}]
    assert sheet["selection"] == {"rule": "distance", "ratio": 0.5}
    assert sheet["audit"] is None
    assert sheet["digest"] == PatchSet.open(selected).digest
    readme = (tmp_path / "out" / "README.md").read_text()
    assert f"6 patches by histogan (generator {GENERATOR})" in readme
    assert "| licence | not recorded |" in readme
    origin = yaml.safe_load((tmp_path / "out" / "origin.yaml").read_text())
    assert origin == {"origin": f"histoforge: histogan {GENERATOR[:12]}", "mpp": 0.5}


def test_a_recorded_origin_and_licence_stand_in_the_datasheet(tmp_path: Path, capsys: Capture) -> None:
    write_selected(tmp_path / "imported", origin={"name": "x", "origin": "a colleague's model", "licence": "CC-BY-4.0"})
    call(capsys, "export", tmp_path / "imported", "--out", tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "| origin | a colleague's model |" in readme
    assert "| licence | CC-BY-4.0 |" in readme


@pytest.mark.parametrize(
    "results",
    [
        {"inputs": {"selected": "DIGEST"}, "memorisation": {"verdict": "No copies.", "copied": False}},
        {"inputs": {"candidates": POOL}, "memorisation": {"verdict": "No copies.", "copied": False}},
        {"synthetic": "DIGEST", "guide": "g", "real": "r", "verdict": "No copies.", "copied": False},
    ],
)
def test_the_datasheet_has_the_audit_of_the_set(
    results: dict[str, Any], selected: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "results.json").write_text(json.dumps(results).replace("DIGEST", PatchSet.open(selected).digest))
    call(capsys, "export", selected, "--out", tmp_path / "out", "--audit", tmp_path / "results.json")
    assert json.loads((tmp_path / "out" / "datasheet.json").read_text())["audit"]["verdict"] == "No copies."
    assert "No copies." in (tmp_path / "out" / "README.md").read_text()


def test_the_audit_of_the_run_that_contains_the_set_is_found(tmp_path: Path, capsys: Capture) -> None:
    write_selected(tmp_path / "run" / "selected")
    results = {"inputs": {"candidates": POOL}, "memorisation": {"verdict": "Copies found.", "copied": True}}
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(results))
    call(capsys, "export", tmp_path / "run" / "selected", "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "datasheet.json").read_text())["audit"]["copied"] is True


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        ({"inputs": {"selected": "c" * 64}, "memorisation": {"verdict": "No copies."}}, "is of another patch set"),
        ({"inputs": {"candidates": POOL}, "memorisation": None}, "contains no audit"),
        ([], "contains no audit"),
    ],
)
def test_an_audit_of_something_else_is_refused(
    results: Any, sentence: str, selected: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "results.json").write_text(json.dumps(results))
    ended = call(capsys, "export", selected, "--out", tmp_path / "out", "--audit", tmp_path / "results.json")
    assert ended.code == 2
    assert sentence in ended.err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_exported_real_patches_are_cut_into_the_same_set_again(tmp_path: Path, capsys: Capture) -> None:
    write_patients(tmp_path / "real", size=32)
    call(capsys, "export", tmp_path / "real", "--out", tmp_path / "out")
    cutting = ["--source", tmp_path / "out", "--patch-size", 32, "--preset", ""]
    call(capsys, "preprocess", *cutting, "--out", tmp_path / "again")
    again = PatchSet.open(tmp_path / "again" / "patches")
    real = PatchSet.open(tmp_path / "real")
    key = {pixels.tobytes(): row for row, pixels in enumerate(real.images())}
    rows = [key[pixels.tobytes()] for pixels in again.images()]
    assert sorted(rows) == list(range(len(real)))
    for column in ("class_name", "patient", "split"):
        assert again.index[column].tolist() == real.index[column].iloc[rows].tolist()


def test_nothing_foreign_is_replaced(selected: Path, generator: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert call(capsys, "export", selected, "--out", out).code == 0
    assert call(capsys, "export", selected, "--out", out).code == 0  # the same command
    ended = call(capsys, "export", selected, "--out", out, "--title", "Other")
    assert "--overwrite" in ended.err
    (out / "benign" / "notes.txt").write_text("mine")
    ended = call(capsys, "export", selected, "--out", out, "--title", "Other", "--overwrite")
    assert "benign/notes.txt, which is not part of the export" in ended.err
    drawing = ["generate", "--model", generator, "--class", "benign", "--count", 1]
    assert "is no pictures of a generator" in call(capsys, *drawing, "--out", out).err
    assert (out / "benign" / "notes.txt").read_text() == "mine"
    assert "which would be lost" in call(capsys, "export", selected, "--out", selected / "below").err


def test_folders_of_classes_are_apart_and_inside() -> None:
    assert class_folders(["a/b", "a_b", "..", "Grade 3", "grade 3"]) == ["a_b", "1-a_b", "_.", "Grade 3", "4-grade 3"]


def test_pictures_are_what_the_generator_draws(generator: Path, tmp_path: Path, capsys: Capture) -> None:
    options = ["--model", generator, "--class", "tumour", "--count", 5, "--batch-size", 3, "--device", "cpu"]
    assert call(capsys, "generate", *options, "--seed", 7, "--out", tmp_path / "out").code == 0
    loaded = load_generator(generator, "cpu")
    parts = [draw(loaded, np.full(n, 1), derive_seed(7, "pictures", 1, start), 3) for start, n in ((0, 3), (3, 2))]
    files = sorted((tmp_path / "out").glob("tumour-*.png"))
    np.testing.assert_array_equal(np.stack([np.asarray(Image.open(file)) for file in files]), np.concatenate(parts))
    assert Image.open(tmp_path / "out" / "contact_sheet.png").width > 5 * 32
    description = json.loads((tmp_path / "out" / "pictures.json").read_text())
    assert description["generator"] == loaded.info.digest
    call(capsys, "generate", *options, "--seed", 8, "--out", tmp_path / "other")
    other = np.asarray(Image.open(tmp_path / "other" / files[0].name))
    assert not np.array_equal(other, parts[0][0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--class": "tumor"}, "has no class 'tumor' (did you mean 'tumour'?)"),
        ({"--model": "nothing"}, "is not a model"),
        ({"--count": 0}, "count"),
    ],
)
def test_wrong_options_of_generate_are_refused(
    change: dict[str, Any], sentence: str, generator: Path, tmp_path: Path, capsys: Capture
) -> None:
    options = {"--model": generator, "--class": "tumour", "--count": 2, "--out": tmp_path / "out", **change}
    ended = call(capsys, "generate", *(part for option in options.items() for part in option))
    assert ended.code == 2
    assert sentence in ended.err
    assert not (tmp_path / "out").exists()


def test_an_exported_synthetic_set_is_imported_with_the_same_pixels(
    selected: Path, tmp_path: Path, capsys: Capture
) -> None:
    write_patients(tmp_path / "real", size=16)
    call(capsys, "export", selected, "--out", tmp_path / "drawn")
    options = ["--patches", tmp_path / "real", "--source", tmp_path / "drawn"]
    ended = call(capsys, "import-patches", *options, "--out", tmp_path / "imported")
    assert ended.code == 0, ended.err
    first, again = PatchSet.open(selected), PatchSet.open(tmp_path / "imported")
    labels = {pixels.tobytes(): label for pixels, label in zip(first.images(), first.labels, strict=True)}
    assert {pixels.tobytes(): label for pixels, label in zip(again.images(), again.labels, strict=True)} == labels
    assert again.info.made_by["origin"]["origin"] == f"histoforge: histogan {GENERATOR[:12]}"


def test_an_imported_set_of_unknown_origin_is_not_exported_as_one_of_histoforge(
    tmp_path: Path, capsys: Capture
) -> None:
    write_patients(tmp_path / "real", size=16)
    for name in PatchSet.open(tmp_path / "real").classes:
        (tmp_path / "vendor" / name).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(tmp_path / "vendor" / name / "1.png")
    options = ["--patches", tmp_path / "real", "--source-mpp", 0.5, "--licence", "CC0"]
    ended = call(capsys, "import-patches", *options, "--source", tmp_path / "vendor", "--out", tmp_path / "imported")
    assert ended.code == 0, ended.err
    call(capsys, "export", tmp_path / "imported", "--out", tmp_path / "out")
    entries = yaml.safe_load((tmp_path / "out" / "origin.yaml").read_text())
    assert {name: entries[name] for name in entries if name != "mpp"} == {"name": "vendor", "licence": "CC0"}
