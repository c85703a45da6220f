"""`preprocess` on slides: drawn ones with regions, damaged ones, remote ones, and real ones."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile
from dicom_making import write_dicom
from PIL import Image
from preprocessing import Preprocessed, preprocess, write_table
from real_data import shared_data
from s3_server import serve_s3, use

from histoforge.core.documents import read_json
from histoforge.core.errors import SourceError, StorageError
from histoforge.core.results import check_replaceable
from histoforge.phantom.slides import draw_slides
from histoforge.slides.pyramid import JPEG_QUALITY

SETTINGS: dict[str, Any] = {"patch_size": 48, "mpp": 1.0, "overview_size": 64}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small slides with regions of two classes, and a truncated one."""
    folder = tmp_path_factory.mktemp("phantom")
    draw_slides(folder, patients=4, size_px=1024)
    return folder


@pytest.fixture
def slides(drawn: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(drawn, tmp_path / "in"))


@pytest.fixture(scope="module")
def result(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Preprocessed:
    return preprocess(drawn, tmp_path_factory.mktemp("made"), **SETTINGS)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*p0*.tiff"))


def test_patches_are_the_pixels_at_their_positions(result: Preprocessed, drawn: Path) -> None:
    index = result.patches.index
    assert result.summary.mpp == pytest.approx(1.0)
    for row in index.groupby("file").head(5).itertuples():
        slide = openslide.OpenSlide(drawn / row.file)
        expected = np.asarray(slide.read_region((row.x, row.y), row.level, (48, 48)).convert("RGB"))
        np.testing.assert_array_equal(result.patches.images(np.array([row.Index]))[0], expected)
    assert (index["tissue"] >= 0.5).all()


def test_split_regions_and_summary(result: Preprocessed) -> None:
    index = result.patches.index
    assert index.groupby("patient")["split"].nunique().eq(1).all()
    assert index.groupby("file")["class_name"].nunique().eq(2).all()
    assert [failure.name for failure in result.summary.failed] == ["phantom-corrupt.tiff"]
    assert "does not open" in result.summary.failed[0].reason
    assert result.summary.files == 4
    assert result.summary.kind == "slides"


def test_the_codec_and_quality_of_slides_are_recorded(result: Preprocessed) -> None:
    made_by = result.patches.info.made_by
    assert (made_by["codecs"], made_by["jpeg_quality"]) == ({"JPEG": 4}, JPEG_QUALITY)


def test_overviews_and_pictures(result: Preprocessed) -> None:
    assert len(result.overviews) == result.summary.overviews == 4
    split_of_file = dict(zip(result.patches.index["file"], result.patches.index["split"], strict=True))
    assert [split_of_file[file] for file in result.overviews.index["file"]] == result.overviews.index["split"].tolist()
    folder = result.folder / "overviews" / "pictures"
    pictures = read_json(folder / "pictures.json")
    assert [picture["slide"] for picture in pictures] == sorted(picture["slide"] for picture in pictures)
    for picture in pictures:
        assert Image.open(folder / picture["picture"]).size == (picture["width"], picture["height"])
        of_slide = result.patches.index["slide"] == picture["slide"]
        assert sum(picture["patches"].values()) == of_slide.sum()


def test_patches_and_overviews_can_be_replaced(result: Preprocessed) -> None:
    assert check_replaceable(result.folder / "patches", ["patches"])
    assert check_replaceable(result.folder / "overviews", ["patches"])


def test_threads_and_runs_change_nothing(result: Preprocessed, drawn: Path, tmp_path: Path) -> None:
    again = preprocess(drawn, tmp_path, **{**SETTINGS, "workers": 1})
    assert again.patches.digest == result.patches.digest
    assert again.overviews.digest == result.overviews.digest


def test_a_cap_takes_a_fair_sample_of_all_slides(result: Preprocessed, drawn: Path, tmp_path: Path) -> None:
    limit = int(result.patches.counts.min()) // 2
    capped = preprocess(drawn, tmp_path, **SETTINGS, max_patches_per_class=limit)
    assert capped.patches.counts.tolist() == [limit, limit]
    corners = {(row.file, row.x, row.y) for row in result.patches.index.itertuples()}
    assert {(row.file, row.x, row.y) for row in capped.patches.index.itertuples()} < corners
    assert capped.patches.index["file"].nunique() == 4


def test_a_cap_does_not_change_colours(drawn: Path, tmp_path: Path) -> None:
    pixels = []
    for folder, limit in (("all", 0), ("few", 12)):
        result = preprocess(drawn, tmp_path / folder, **SETTINGS, stain="macenko", max_patches_per_class=limit)
        images = result.patches.images()
        pixels.append({(row.file, row.x, row.y): images[row.Index] for row in result.patches.index.itertuples()})
    assert len(pixels[1]) == 24
    for corner, image in pixels[1].items():
        np.testing.assert_array_equal(image, pixels[0][corner])


def test_tissue_outside_the_regions_can_be_a_class(result: Preprocessed, drawn: Path, tmp_path: Path) -> None:
    outside = preprocess(drawn, tmp_path, **SETTINGS, outside_class="stroma")
    index = outside.patches.index
    assert outside.patches.classes == ["benign", "stroma", "tumour"]
    inside = index[index["class_name"] != "stroma"]
    assert len(inside) == len(result.patches)
    assert not set(zip(index["file"], index["x"], index["y"], strict=True)) - {
        (row.file, row.x, row.y) for row in index.itertuples()
    }
    assert (index["class_name"] == "stroma").sum() > 0


def test_ome_tiff_and_dicom_have_their_names_resolution_and_annotations(slides: Path, tmp_path: Path) -> None:
    ome, dicom, *_ = sorted(slides.glob("*p0*.tiff"))
    whole = [openslide.OpenSlide(path).read_region((0, 0), 0, (1024, 1024)) for path in (ome, dicom)]
    pixels = [np.asarray(image.convert("RGB")) for image in whole]
    metadata = {"axes": "YXS", "PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm"}
    tifffile.imwrite(slides / "b.ome.tif", pixels[0], tile=(256, 256), photometric="rgb", ome=True, metadata=metadata)
    write_dicom(slides / "c", pixels[1], mpp=0.5)
    ome.with_suffix(".geojson").rename(slides / "b.geojson")
    dicom.with_suffix(".geojson").rename(slides / "c.geojson")
    table = slides / "slides.csv"
    table.write_text(table.read_text().replace(ome.stem, "b").replace(dicom.stem, "c"))
    ome.unlink()
    dicom.unlink()
    result = preprocess(slides, tmp_path / "out", **SETTINGS)
    index = result.patches.index
    assert {"b", "c"} < set(index["slide"])
    for name, file in (("b", "b.ome.tif"), ("c", "c/level-0.dcm")):
        rows = index[index["slide"] == name]
        assert set(rows["file"]) == {file}
        assert set(rows["class_name"]) == {"benign", "tumour"}
        assert (rows["mpp"] == 1.0).all()


def test_labels_of_slides_without_annotations(slides: Path, tmp_path: Path) -> None:
    for path in slides.glob("*.geojson"):
        path.unlink()
    rows = [{"slide": n, "label": "ab"[i % 2], "patient": f"p{i}"} for i, n in enumerate(names(slides))]
    write_table(slides / "slides.csv", rows)
    with pytest.raises(SourceError, match="Class 'a' comes from 2 patients, so .* has none of it in 'val'"):
        preprocess(slides, tmp_path / "1", **SETTINGS)
    result = preprocess(slides, tmp_path / "2", **SETTINGS, split_ratios="1:0:1")
    assert result.summary.patients == {"train": 2, "test": 2}
    assert result.patches.index.groupby("file")["class_name"].nunique().eq(1).all()


def test_without_labels_and_annotations(slides: Path, tmp_path: Path) -> None:
    for path in [*slides.glob("*.geojson"), slides / "slides.csv"]:
        path.unlink()
    with pytest.raises(SourceError, match="None of the slides .* write a slides.csv"):
        preprocess(slides, tmp_path, **SETTINGS)


def test_all_slides_broken_and_too_many(slides: Path, tmp_path: Path) -> None:
    for name in names(slides)[:2]:
        (slides / name).write_bytes((slides / name).read_bytes()[:3000])
    with pytest.raises(SourceError, match="3 slides or images failed, more than max_failed_slides=2"):
        preprocess(slides, tmp_path / "1", **SETTINGS, max_failed_slides=2)
    for name in names(slides):
        (slides / name).write_bytes(b"no slide")
    with pytest.raises(SourceError, match="None of the slides or images .* does not open"):
        preprocess(slides, tmp_path / "2", **SETTINGS)
    assert not (tmp_path / "2" / "patches").exists()


def test_a_slide_that_is_damaged_in_the_middle_leaves_no_patch(slides: Path, tmp_path: Path) -> None:
    broken = slides / names(slides)[1]
    with tifffile.TiffFile(broken) as file:
        level = file.pages[1]
        tiles = list(zip(level.dataoffsets, level.databytecounts, strict=True))[-2:]
    content = bytearray(broken.read_bytes())
    for offset, count in tiles:
        content[offset : offset + count] = bytes(count)
    broken.write_bytes(content)
    result = preprocess(slides, tmp_path, **SETTINGS, min_tissue=0.0, outside_class="rest")
    assert broken.name in [failure.name for failure in result.summary.failed]
    assert broken.name not in set(result.patches.index["file"])
    assert broken.name not in set(result.overviews.index["file"])
    assert result.summary.files == 3


def without_mpp(path: Path) -> None:
    """Write the same pixels without a resolution."""
    pixels = tifffile.imread(path)
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb", compression="jpeg")


def test_a_missing_mpp_names_the_parameter(slides: Path, tmp_path: Path) -> None:
    without_mpp(slides / names(slides)[0])
    with pytest.raises(SourceError, match=r"does not state its resolution \(mpp\): .*slide_mpp"):
        preprocess(slides, tmp_path, **SETTINGS)
    given = preprocess(slides, tmp_path / "1", **SETTINGS, slide_mpp=0.5)
    assert given.summary.mpp == pytest.approx(1.0)
    rows = [{"slide": name, "patient": name, "mpp": "" if i else "0.5"} for i, name in enumerate(names(slides))]
    write_table(slides / "slides.csv", rows)
    by_table = preprocess(slides, tmp_path / "2", **SETTINGS)
    assert len(by_table.patches) == len(given.patches)
    (slides / "slides.csv").unlink()
    by_level = preprocess(slides, tmp_path / "3", patch_size=48, level=0, overview_size=64)
    assert by_level.summary.mpp is None
    assert any("different resolutions" in warning for warning in by_level.summary.warnings)


def annotate(path: Path, regions: list[tuple[str, list[tuple[int, int]]]]) -> None:
    """Write regions as QuPath does."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]},
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        }
        for name, corners in regions
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


SQUARE = [(100, 100), (900, 100), (900, 900), (100, 900)]


@pytest.mark.parametrize(
    ("regions", "values", "message"),
    [
        ([("tumour", [(9000, 9000), (9900, 9000), (9900, 9900)])], {}, "belongs to another slide"),
        ([], {}, "contains no region"),
        ([("tumuor", SQUARE)], {"classes": "benign,tumour"}, "unknown class 'tumuor' .did you mean 'tumour'"),
    ],
)
def test_a_faulty_annotation_stops_the_step(
    slides: Path, tmp_path: Path, regions: list[Any], values: dict[str, str], message: str
) -> None:
    annotate(slides / names(slides)[0].replace(".tiff", ".geojson"), regions)
    with pytest.raises(SourceError, match=message) as caught:
        preprocess(slides, tmp_path / "out", **SETTINGS, **values)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_annotation_without_a_slide_is_named(slides: Path, tmp_path: Path) -> None:
    annotate(slides / "other.geojson", [("tumour", SQUARE)])
    with pytest.raises(SourceError, match="other.geojson belongs to no slide"):
        preprocess(slides, tmp_path, **SETTINGS)


def test_a_region_that_crosses_itself_is_repaired_and_named(slides: Path, tmp_path: Path) -> None:
    bow = [(100, 100), (900, 900), (900, 100), (100, 900)]
    name = names(slides)[0].replace(".tiff", ".geojson")
    annotate(slides / name, [("tumour", bow), ("benign", [(120, 300), (300, 500), (120, 700)])])
    result = preprocess(slides, tmp_path, **SETTINGS)
    assert any(name in warning and "crosses itself" in warning for warning in result.summary.warnings)


def test_regions_of_an_ignored_class_give_no_patches(slides: Path, tmp_path: Path, result: Preprocessed) -> None:
    path = slides / names(slides)[0].replace(".tiff", ".geojson")
    value = read_json(path)
    annotate(path, [("Ignore*", [(0, 0), (1024, 0), (1024, 1024), (0, 1024)])])
    value["features"] += read_json(path)["features"]
    path.write_text(json.dumps(value))
    ignored = preprocess(slides, tmp_path, **SETTINGS, ignore_classes="Ignore*")
    assert ignored.patches.classes == ["benign", "tumour"]
    assert len(ignored.patches) == len(result.patches)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"slide": "none", "label": "a"}], "lists 'none', which is not in"),
        ([{"slide": "phantom-p01-s1", "lable": "a"}], "unknown column 'lable'"),
        ([{"slide": "phantom-p01-s1", "mpp": "big"}], "the mpp 'big': write um/px"),
        ([{"slide": "phantom-p01-s1", "mpp": ""}, {"slide": "phantom-p01-s1.tiff", "mpp": ""}], "twice"),
    ],
)
def test_a_faulty_slides_table(slides: Path, tmp_path: Path, rows: list[dict[str, str]], message: str) -> None:
    write_table(slides / "slides.csv", rows)
    with pytest.raises(SourceError, match=message):
        preprocess(slides, tmp_path, **SETTINGS)


def test_the_same_slide_under_two_patients_is_noticed(slides: Path, tmp_path: Path) -> None:
    for name in names(slides):
        for extension in (".tiff", ".geojson"):
            first = (slides / names(slides)[0]).with_suffix(extension)
            if (slides / name).with_suffix(extension) != first:
                shutil.copy(first, (slides / name).with_suffix(extension))
    result = preprocess(slides, tmp_path, **SETTINGS)
    assert any("The same pixels occur in two splits" in warning for warning in result.summary.warnings)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with serve_s3(tmp_path_factory.mktemp("s3") / "buckets") as server:
        yield server


def test_remote_slides_are_fetched_one_at_a_time_and_removed(
    server: Any, result: Preprocessed, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, server.endpoint)
    server.bucket("slides")
    for path in drawn.iterdir():
        server.store("slides", f"study/{path.name}", path.read_bytes())
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    most = 0
    opened = openslide.OpenSlide.__init__

    def counting(self: Any, path: Any) -> None:
        nonlocal most
        most = max(most, len(list((tmp_path / "tmp").rglob("*.tiff"))))
        opened(self, path)

    monkeypatch.setattr(openslide.OpenSlide, "__init__", counting)
    remote = preprocess("s3://slides/study", tmp_path, **SETTINGS)
    np.testing.assert_array_equal(remote.patches.images(), result.patches.images())
    assert most == 1
    assert not list((tmp_path / "tmp").iterdir())
    assert "s3://slides/study" in remote.summary.failed[0].reason
    with pytest.raises(StorageError):
        preprocess("s3://slides/nothing-here", tmp_path / "2", **SETTINGS)


def halves(folder: Path, sources: list[Path]) -> str:
    """Annotations that give the left half of each slide one class and the right half another."""
    folder.mkdir()
    for source in sources:
        width, height = openslide.OpenSlide(source).dimensions
        middle = width // 2
        left = [(0, 0), (middle, 0), (middle, height), (0, height)]
        right = [(middle, 0), (width, 0), (width, height), (middle, height)]
        annotate(folder / f"{source.stem}.geojson", [("left", left), ("right", right)])
    return str(folder)


def test_real_slides(tmp_path: Path) -> None:
    """Two of the four state no mpp; a fifth is broken, and named."""
    source = shared_data("wsi")
    files = sorted(path for path in source.iterdir() if path.is_file())
    rows = [{"slide": path.stem, "patient": path.stem, "label": ""} for path in files]
    rows.append({"slide": "broken", "patient": "nobody", "label": "left"})
    values = {
        "labels": str(write_table(tmp_path / "slides.csv", rows)),
        "annotations": halves(tmp_path / "regions", files),
        "mpp": 1.0,
        "kind": "slides",
    }
    with pytest.raises(SourceError, match="slide_mpp"):
        preprocess(source, tmp_path / "1", **values)
    result = preprocess(source, tmp_path / "2", slide_mpp=0.5, **values)
    assert result.patches.index["file"].nunique() == 4
    assert [failure.name for failure in result.summary.failed] == ["negative/broken.svs"]
    assert all(min(counts.values()) > 0 for counts in result.summary.counts.values())
    assert len(list((result.folder / "overviews" / "pictures").glob("*.jpg"))) == 4
