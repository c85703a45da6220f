"""`predict`: GeoJSON that fits the slides, tables, resuming after a kill, and bad input."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pandas as pd
import pytest
import shapely
import tifffile
import torch
from command_line import call
from PIL import Image
from processes import kill_at_call, run_process
from tiny_classifier import save_classifier

from histoforge.classifiers.arms import load_classifier
from histoforge.core.errors import HistoforgeError
from histoforge.phantom.slides import CLASSES, draw_slides
from histoforge.prediction import finished
from histoforge.prediction.tables import SlideRecord, patient_table
from histoforge.steps import predict
from histoforge.steps.predict_config import PredictConfig, PredictSummary

NAMES = list(CLASSES)
FILES = ["heat_map.png", "patches.csv", "regions.geojson", "slide.json", "tiles.geojson"]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small slides of two patients, and one that does not open."""
    folder = tmp_path_factory.mktemp("slides")
    draw_slides(folder, patients=3, size_px=768)
    table = (folder / "slides.csv").read_text().replace("patient-03", "patient-01")
    (folder / "slides.csv").write_text(table)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "classifier"
    save_classifier(path, NAMES, stain="none")
    return path


def run(slides: Path, model: Path, out: Path, **settings: Any) -> PredictSummary:
    config = PredictConfig.make(
        {"source": str(slides), "device": "cpu", "precision": "float32", "workers": 1, **settings}
    )
    return predict.run(config, model=model, predictions=out)


@pytest.fixture(scope="module")
def result(slides: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[PredictSummary, Path]:
    out = tmp_path_factory.mktemp("made") / "predictions"
    return run(slides, model, out), out


def features(out: Path, slide: str, file: str) -> list[dict[str, Any]]:
    collection = json.loads((out / "slides" / slide / file).read_text())
    assert collection["type"] == "FeatureCollection"
    return list(collection["features"])


def class_of(feature: dict[str, Any]) -> str:
    return feature["properties"]["classification"]["name"]


def test_tiles_have_the_probabilities_of_the_pixels_below_them(
    result: tuple[PredictSummary, Path], slides: Path, model: Path
) -> None:
    classifier = load_classifier(model)
    slide = openslide.OpenSlide(slides / "phantom-p01-s1.tiff")
    tiles = features(result[1], "phantom-p01-s1", "tiles.geojson")
    for tile in tiles[::10]:
        box = shapely.geometry.shape(tile["geometry"])
        assert box.is_valid
        left, top, right, bottom = map(int, box.bounds)
        assert (right - left, bottom - top) == (96, 96)  # 48 px of 1 um on a slide of 0.5 um/px
        pixels = slide.read_region((left, top), 1, (48, 48)).convert("RGB")
        image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None] / 127.5 - 1
        expected = dict(zip(NAMES, classifier(image).softmax(1)[0].tolist(), strict=True))
        properties = tile["properties"]
        assert properties["objectType"] == "tile"
        found = {name.removeprefix("Probability: "): value for name, value in properties["measurements"].items()}
        assert found == pytest.approx(expected, abs=1e-3)
        assert properties["classification"]["name"] == max(expected, key=lambda name: expected[name])
        assert all(0 <= part <= 255 for part in properties["classification"]["color"])


def test_regions_are_the_union_of_the_tiles_of_a_class(result: tuple[PredictSummary, Path]) -> None:
    tiles, regions = (features(result[1], "phantom-p02-s1", f"{name}.geojson") for name in ("tiles", "regions"))
    assert {class_of(region) for region in regions} == {class_of(tile) for tile in tiles}
    for region in regions:
        of_class = [tile for tile in tiles if class_of(tile) == class_of(region)]
        union = shapely.union_all([shapely.geometry.shape(tile["geometry"]) for tile in of_class])
        shape = shapely.geometry.shape(region["geometry"])
        assert shape.is_valid
        assert shape.equals(union)
        assert region["properties"]["objectType"] == "annotation"
        assert region["properties"]["measurements"]["Patches"] == len(of_class)
        assert region["properties"]["measurements"]["Area mm^2"] == pytest.approx(union.area * 0.25e-6, rel=1e-3)


def test_tables_sum_up_the_patches_of_slides_and_of_patients(result: tuple[PredictSummary, Path]) -> None:
    summary, out = result
    by_slide = pd.read_csv(out / "slides.csv").set_index("slide")
    patches = {name: pd.read_csv(out / "slides" / name / "patches.csv") for name in by_slide.index}
    for name, table in patches.items():
        assert by_slide.loc[name, "patches"] == len(table)
        for label in NAMES:
            assert by_slide.loc[name, f"probability_{label}"] == pytest.approx(
                table[f"probability_{label}"].mean(), abs=1e-5
            )
            assert by_slide.loc[name, f"share_{label}"] == pytest.approx((table["predicted"] == label).mean())
    by_patient = pd.read_csv(out / "patients.csv").set_index("patient")
    assert by_patient["slides"].to_dict() == {"patient-01": 2, "patient-02": 1}
    together = pd.concat([patches["phantom-p01-s1"], patches["phantom-p03-s1"]])
    for label in NAMES:
        expected = together[f"probability_{label}"].mean()
        assert by_patient.loc["patient-01", f"probability_{label}"] == pytest.approx(expected, abs=1e-5)
    assert summary.patches == sum(map(len, patches.values()))
    assert (summary.slides, summary.patients) == (3, 2)
    assert [failure.name for failure in summary.failed] == ["phantom-corrupt.tiff"]


def test_the_heat_map_shows_tissue_and_leaves_glass(result: tuple[PredictSummary, Path]) -> None:
    picture = np.asarray(Image.open(result[1] / "slides" / "phantom-p01-s1" / "heat_map.png").convert("RGB"))
    assert picture.std() > 10
    assert sorted(path.name for path in (result[1] / "slides" / "phantom-p01-s1").iterdir()) == FILES


def test_a_patient_without_tissue_has_a_row_without_a_class() -> None:
    empty = SlideRecord(
        identity="", slide="a", file="a.svs", mpp=1, patches=0, predicted={"x": 0, "y": 0}, probability={}
    )
    row = patient_table([empty], {"a": "p"}, ["x", "y"]).iloc[0]
    assert (row["patches"], row["predicted"]) == (0, "")
    assert pd.isna(row["probability_x"])


def _killed_after_two(slides: Path, model: Path, out: Path, settings: dict[str, Any]) -> None:
    kill_at_call(finished.FinishedSlides, "write", 3)
    run(slides, model, out, **settings)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "predictions.json"
    }


def test_a_killed_command_goes_on_after_the_last_finished_slide(
    result: tuple[PredictSummary, Path], slides: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run_process(tmp_path / "log", _killed_after_two, slides, model, out, {}).code == -signal.SIGKILL
    assert not out.exists()
    summary = run(slides, model, out)
    assert summary.resumed == 2
    assert files_of(out) == files_of(result[1])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out"]


def test_another_machine_goes_on_from_the_copies_and_removes_them(slides: Path, model: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    settings = {"checkpoints": str(copies)}
    done = run_process(tmp_path / "log", _killed_after_two, slides, model, tmp_path / "first", settings)
    assert done.code == -signal.SIGKILL
    shutil.rmtree(tmp_path / "first.work")
    assert run(slides, model, tmp_path / "second", **settings).resumed == 2
    assert not [path for path in copies.rglob("*") if path.is_file()]


@pytest.mark.parametrize("content", ["{", "{}", '{"identity": 3, "digest": ""}', "[1]"])
def test_a_damaged_record_of_a_finished_slide_counts_as_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "slide.json").write_text(content)
    assert finished.FinishedSlides(tmp_path, None).find("a", "x") is None


def test_a_changed_slide_or_setting_is_predicted_again(slides: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_process(tmp_path / "log", _killed_after_two, slides, model, out, {})
    assert run(slides, model, out, stride=96).resumed == 0


@pytest.mark.parametrize(
    ("made", "settings", "sentence"),
    [
        ({"stain": "none"}, {"source": ""}, "give 'source'"),
        ({"stain": "none"}, {"mpp": 0.25}, "was trained on patches of 1 um/px"),
        ({"stain": "none", "mpp": None}, {}, "of unknown or mixed resolution"),
        ({}, {}, "does not record the stain normalisation"),
        ({"stain": "macenko"}, {"stain": "none"}, "with the stain normalisation 'macenko'"),
        ({"stain": "none"}, {"patient_pattern": "([0-9]+x)"}, "does not match"),
        ({"stain": "none"}, {"max_failed_slides": 0}, "more than max_failed_slides=0 allows"),
        ({"stain": "none"}, {"min_tissue": 1.0}, "None of the slides"),
    ],
)
def test_bad_input_is_refused(
    made: dict[str, Any], settings: dict[str, Any], sentence: str, slides: Path, tmp_path: Path
) -> None:
    save_classifier(tmp_path / "model", NAMES, size=480 if "min_tissue" in settings else 48, **made)
    with pytest.raises(HistoforgeError, match=sentence):
        run(slides, tmp_path / "model", tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_slides_that_cannot_be_read_are_not_called_empty(model: Path, tmp_path: Path) -> None:
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "a.svs").touch()
    with pytest.raises(HistoforgeError, match=r"None of the slides in .* can be read; the last one: .*a\.svs"):
        run(tmp_path / "slides", model, tmp_path / "out")


def test_slides_of_one_name_are_refused_with_their_paths(slides: Path, model: Path, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / "slides" / folder).mkdir(parents=True)
        shutil.copy(slides / "phantom-p01-s1.tiff", tmp_path / "slides" / folder / "a.tiff")
    with pytest.raises(HistoforgeError, match=r"first/a\.tiff and second/a\.tiff in .* have the same name 'a'"):
        run(tmp_path / "slides", model, tmp_path / "out")


def test_a_slide_of_unknown_resolution_is_refused_until_it_is_given(slides: Path, model: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers((120, 40, 110), (200, 120, 180), (512, 512, 3)).astype(np.uint8)
    source = tmp_path / "slides"
    source.mkdir()
    tifffile.imwrite(source / "a.tif", pixels, tile=(128, 128), photometric="rgb")
    shutil.copy(slides / "phantom-p01-s1.tiff", source / "0.tiff")
    with pytest.raises(HistoforgeError, match=r"a\.tif does not state its resolution"):
        run(source, model, tmp_path / "out")
    assert not (tmp_path / "out.work").exists()  # before the first slide
    (source / "0.tiff").unlink()
    assert run(source, model, tmp_path / "out", slide_mpp=1.0).patches == 100


def test_the_command_line_ends_with_one_sentence(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    ended = call(capsys, "predict", "--model", model, "--source", tmp_path / "empty", "--out", tmp_path / "out")
    assert ended.code == 2
    assert "There is nothing at" in ended.err.splitlines()[-1]


def test_the_command_line_keeps_files_that_it_did_not_make(
    capsys: pytest.CaptureFixture[str], slides: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    ended = call(capsys, "predict", "--model", model, "--source", slides, "--out", tmp_path / "out")
    assert ended.code == 2
    assert "is no predictions on slides" in ended.err
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_the_command_line_names_its_options(capsys: pytest.CaptureFixture[str], slides: Path, tmp_path: Path) -> None:
    save_classifier(tmp_path / "model", NAMES)
    ended = call(capsys, "predict", "--model", tmp_path / "model", "--source", slides, "--out", tmp_path / "out")
    assert ended.code == 2
    assert ended.err.splitlines()[-1].endswith("give --stain (none, macenko or reinhard).")
