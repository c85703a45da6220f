"""`cut_slides` and `preprocess` of what it cut: the same patch sets as from `preprocess` alone, and only new slides."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tifffile
from preprocessing import preprocess
from s3_server import serve_s3, use

from histoforge.core.errors import SourceError
from histoforge.core.timings import forget_work, work_so_far
from histoforge.ingest import own_process
from histoforge.ingest.shards import ListedSlide, list_versions, plan_shards
from histoforge.ingest.slide_store import CUTS_NAME
from histoforge.phantom.slides import draw_slides
from histoforge.steps import cut_slides
from histoforge.steps import preprocess as preprocess_step
from histoforge.steps.cut_slides_config import CutSlidesConfig, CutSlidesSummary
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.storage import open_location

PLAIN: dict[str, Any] = {"patch_size": 48, "mpp": 1.0, "overview_size": 64}
LEVELS: dict[str, Any] = {
    **PLAIN,
    "patch_size": 32,
    "overview_size": 32,
    "overview_shrink": 4,
    "stain": "macenko",
    "max_patches_per_class": 60,
    "max_overviews_per_class": 5,
    "min_tissue": 0.0,
    "outside_class": "rest",
    "control_share": 0.3,
}
"""Everything that looks at several slides: maximum numbers of both levels, a control, and a slide of an empty class."""


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slides of six patients, one that does not open, one damaged in the middle, and a copy under another name."""
    folder = tmp_path_factory.mktemp("phantom")
    draw_slides(folder, patients=6, size_px=768)
    first, second, *_ = sorted(folder.glob("*p0*.tiff"))
    damage(first)
    shutil.copyfile(second, folder / "copy.tiff")
    shutil.copyfile(second.with_suffix(".geojson"), folder / "copy.geojson")
    table = folder / "slides.csv"
    line = next(line for line in table.read_text().splitlines() if line.startswith(second.stem))
    table.write_text(f"{table.read_text()}{line.replace(second.stem, 'copy', 1)}\n")
    return folder


def damage(slide: Path) -> None:
    """Overwrite the last tiles of a level of a slide."""
    with tifffile.TiffFile(slide) as file:
        level = file.pages[1]
        tiles = list(zip(level.dataoffsets, level.databytecounts, strict=True))[-2:]
    content = bytearray(slide.read_bytes())
    for offset, count in tiles:
        content[offset : offset + count] = bytes(count)
    slide.write_bytes(content)


def cut(source: Path | str, out: Path, **values: Any) -> CutSlidesSummary:
    values = {"source": str(source), "workers": 2, "own_process": False, **values}
    return cut_slides.run(CutSlidesConfig.make(values), cuts=out)


def cut_in_shards(source: Path | str, out: Path, shards: int, **values: Any) -> list[Path]:
    """Cut a source as a pipeline does."""
    folders = []
    for number, part in enumerate(plan_shards(list_versions(open_location(str(source)).entries()), shards)):
        folders.append(out / str(number))
        cut(source, folders[-1], slides=[slide.text for slide in part], **values)
    return folders


def joined(source: Path | str, out: Path, cuts: list[Path], **values: Any) -> Path:
    config = PreprocessConfig.make({"source": str(source), "workers": 2, **values})
    preprocess_step.run(config, patches=out / "patches", overviews=out / "overviews", cuts=cuts)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, without the durations."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    summary = json.loads(found.pop("patches/summary.json"))
    del summary["seconds"]
    return {**found, "summary": json.dumps(summary).encode()}


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    """Chunks so small that the joined patches fill several of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("histoforge.patches.chunks.CHUNK_BYTES", 1 << 16)
        yield


@pytest.fixture(scope="module", params=[PLAIN, LEVELS], ids=["patches", "both levels"])
def alone(request: pytest.FixtureRequest, slides: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The settings, and what one task makes of the slides."""
    out = tmp_path_factory.mktemp("alone")
    result = preprocess(slides, out, **request.param)
    assert len(result.summary.failed) == 2
    assert result.summary.warnings
    assert len(list((out / "patches" / "images").iterdir())) > 3
    return request.param, contents(out)


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_shards_give_the_bytes_of_one_task(alone: Any, shards: int, slides: Path, tmp_path: Path) -> None:
    settings, expected = alone
    cuts = cut_in_shards(slides, tmp_path / "cuts", shards, **settings)
    assert len(cuts) == shards
    assert contents(joined(slides, tmp_path / "joined", cuts, **settings)) == expected


def test_a_cache_is_a_store_of_shards_and_of_one_task(alone: Any, slides: Path, tmp_path: Path) -> None:
    settings, expected = alone
    cached = {**settings, "slide_cache": str(tmp_path / "cache")}
    assert contents(joined(slides, tmp_path / "first", [], **cached)) == expected
    again = cut(slides, tmp_path / "cuts", **cached)
    assert again.reused == again.slides == 6
    assert [path.name for path in (tmp_path / "cuts").iterdir()] == [CUTS_NAME]
    assert contents(joined(slides, tmp_path / "joined", [tmp_path / "cuts"], **cached)) == expected


def few(slides: Path, folder: Path, count: int) -> Path:
    """A folder with the first intact slides, which a test may change."""
    folder.mkdir()
    for slide in sorted(slides.glob("*p0*.tiff"))[1 : count + 1]:
        for path in (slide, slide.with_suffix(".geojson")):
            shutil.copy2(path, folder / path.name)
    return folder


def test_only_new_and_changed_slides_and_settings_are_cut_again(slides: Path, tmp_path: Path) -> None:
    source = few(slides, tmp_path / "in", 4)
    cached = {**PLAIN, "slide_cache": str(tmp_path / "cache")}
    last = sorted(source.glob("*.tiff"))[-1]
    shutil.move(last, tmp_path / last.name)
    shutil.move(last.with_suffix(".geojson"), tmp_path / "last.geojson")
    assert reused_and_cut(cut(source, tmp_path / "1", **cached)) == (0, 3)
    shutil.move(tmp_path / last.name, last)
    shutil.move(tmp_path / "last.geojson", last.with_suffix(".geojson"))
    assert reused_and_cut(cut(source, tmp_path / "2", **cached)) == (3, 1)
    for annotation in sorted(source.glob("*.geojson"))[:1]:
        annotation.write_text(f"{annotation.read_text()}\n")
    assert reused_and_cut(cut(source, tmp_path / "3", **cached)) == (3, 1)
    assert reused_and_cut(cut(source, tmp_path / "4", **cached, seed=5, folds=2, split_ratios="1:1:1")) == (4, 0)
    assert reused_and_cut(cut(source, tmp_path / "5", **cached, min_tissue=0.4)) == (0, 4)


def reused_and_cut(summary: CutSlidesSummary) -> tuple[int, int]:
    return summary.reused, summary.slides - summary.reused


def test_a_cache_in_a_bucket(slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = few(slides, tmp_path / "in", 3)
    with serve_s3(tmp_path / "served") as server:
        use(monkeypatch, server.endpoint)
        (tmp_path / "served" / "bucket").mkdir(parents=True, exist_ok=True)
        cached = {**PLAIN, "slide_cache": "s3://bucket/cache", "split_ratios": "1:1:1"}
        first = cut(source, tmp_path / "1", **cached)
        assert reused_and_cut(cut(source, tmp_path / "2", **cached)) == (first.slides, 0)
        made = joined(source, tmp_path / "joined", [tmp_path / "2"], **cached)
    alone = joined(source, tmp_path / "alone", [], **{**cached, "slide_cache": ""})
    assert contents(made) == contents(alone)


def test_a_damaged_slide_of_a_cache_is_named(slides: Path, tmp_path: Path) -> None:
    source = few(slides, tmp_path / "in", 3)
    cut(source, tmp_path / "cuts", **PLAIN)
    images = sorted((tmp_path / "cuts").glob("*/patches/images.npy"))[0]
    images.write_bytes(images.read_bytes()[:-1] + b"\0")
    with pytest.raises(SourceError, match=r"patches/images.npy is missing or damaged: delete this folder"):
        joined(source, tmp_path / "joined", [tmp_path / "cuts"], **PLAIN)
    assert not (tmp_path / "joined" / "patches").exists()


def test_two_shards_with_the_same_slide_are_refused(slides: Path, tmp_path: Path) -> None:
    source = few(slides, tmp_path / "in", 3)
    cuts = cut_in_shards(source, tmp_path, 2, **PLAIN)
    both = tmp_path / "both"
    cut(source, both, **PLAIN)
    with pytest.raises(SourceError, match=r"The slide .*tiff was cut for two shards, the second of which is .*/both"):
        joined(source, tmp_path / "joined", [*cuts, both], **PLAIN)


def test_a_slide_that_changes_after_it_was_listed_or_cut_is_named(slides: Path, tmp_path: Path) -> None:
    source = few(slides, tmp_path / "in", 3)
    listed = [slide.text for slide in list_versions(open_location(str(source)).entries())]
    cut(source, tmp_path / "cuts", **PLAIN, slides=listed)
    name = listed[1].partition("@")[0]
    (source / name).touch()
    with pytest.raises(SourceError, match=f"The slide {name} has changed since it was listed"):
        cut(source, tmp_path / "again", **PLAIN, slides=listed)
    with pytest.raises(SourceError, match=f"The slide {name}, its annotation or a setting has changed since"):
        joined(source, tmp_path / "joined", [tmp_path / "cuts"], **PLAIN)
    with pytest.raises(SourceError, match="The slide gone.tiff is not at the source"):
        cut(source, tmp_path / "again", **PLAIN, slides=["gone.tiff"])
    assert not (tmp_path / "again").exists()


def test_a_shard_ends_with_more_failures_than_allowed(slides: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="2 slides or images failed, more than max_failed_slides=1 allows"):
        cut(slides, tmp_path / "cuts", **PLAIN, max_failed_slides=1)
    assert not (tmp_path / "cuts").exists()
    cuts = cut_in_shards(slides, tmp_path / "cuts", 4, **PLAIN, max_failed_slides=1)
    with pytest.raises(SourceError, match="2 slides or images failed, more than max_failed_slides=1 allows"):
        joined(slides, tmp_path / "joined", cuts, **PLAIN, max_failed_slides=1)


READER = """
import os, signal
import openslide
opens = openslide.OpenSlide.__init__
def open_or_fail(slide, path):
    if "{name}" in str(path):
        {action}
    opens(slide, path)
openslide.OpenSlide.__init__ = open_or_fail
"""


def read_with(action: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have other processes do something when they open a slide."""
    (folder / "sitecustomize.py").write_text(READER.format(name=name, action=action))
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_a_slide_that_kills_its_reader_is_one_that_failed(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = few(slides, tmp_path / "in", 4)
    second = sorted(path.name for path in source.glob("*.tiff"))[1]
    read_with("os.kill(os.getpid(), signal.SIGKILL)", second, tmp_path, monkeypatch)
    forget_work()
    summary = cut(source, tmp_path / "cuts", **PLAIN, own_process=True)
    assert work_so_far()["decode"].patches > 0, "of the other process"
    assert (summary.slides, [failure.name for failure in summary.failed]) == (3, [second])
    assert "ended the process that cut it (SIGKILL)" in summary.failed[0].reason
    allowed = joined(source, tmp_path / "joined", [tmp_path / "cuts"], **PLAIN, split_ratios="1:1:1")
    recorded = json.loads((allowed / "patches" / "summary.json").read_text())
    assert recorded["failed"] == [{"name": second, "reason": summary.failed[0].reason}]
    assert recorded["files"] == 3
    with pytest.raises(SourceError, match=f"more than max_failed_slides=0 allows .{second}"):
        joined(source, tmp_path / "refused", [tmp_path / "cuts"], **PLAIN, max_failed_slides=0)


def test_another_process_cuts_the_same(slides: Path, tmp_path: Path) -> None:
    here = cut(slides, tmp_path / "False", **PLAIN, own_process=False)
    forget_work()
    there = cut(slides, tmp_path / "True", **PLAIN, own_process=True)
    assert work_so_far()["decode"].patches > 0
    assert here.model_copy(update={"seconds": 0}) == there.model_copy(update={"seconds": 0})
    assert bytes_of(tmp_path / "True") == bytes_of(tmp_path / "False")
    with pytest.raises(SourceError, match="2 slides or images failed, more than max_failed_slides=1 allows"):
        cut(slides, tmp_path / "more", **PLAIN, own_process=True, max_failed_slides=1)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_slide_that_needs_more_memory_than_the_container_has_is_one_that_failed(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = few(slides, tmp_path / "in", 1)
    read_with("import numpy; numpy.empty(2**31, numpy.uint8)", "tiff", tmp_path, monkeypatch)
    assert not cut(source, tmp_path / "cuts", **PLAIN, own_process=True).failed
    monkeypatch.setattr(own_process, "memory_limit", lambda: 2**31)
    (failed,) = cut(source, tmp_path / "cuts", **PLAIN, own_process=True).failed
    assert "needs more memory than the task has" in failed.reason


def test_what_the_cache_lacks_is_left_to_preprocess(slides: Path, tmp_path: Path) -> None:
    source = few(slides, tmp_path / "in", 3)
    cached = {**PLAIN, "slide_cache": str(tmp_path / "cache"), "split_ratios": "1:1:1"}
    files = sorted(path.name for path in source.glob("*.tiff"))
    cut(source, tmp_path / "lost", **cached, slides=files[:2])
    summary = cut(source, tmp_path / "cuts", **cached, reuse_only=True)
    assert (summary.slides, summary.reused, summary.failed) == (2, 2, [])
    made = joined(source, tmp_path / "joined", [tmp_path / "cuts"], **{**cached, "slide_cache": ""})
    assert contents(made) == contents(joined(source, tmp_path / "alone", [], **{**cached, "slide_cache": ""}))


def test_shards_have_about_equal_bytes_and_all_slides() -> None:
    slides = [ListedSlide(f"{number:02}.svs", size, "0" * 16) for number, size in enumerate([9, 1, 5, 4, 4, 3, 2, 8])]
    parts = plan_shards(slides, 3)
    assert sorted(slide.file for part in parts for slide in part) == [slide.file for slide in slides]
    assert max(sum(slide.bytes for slide in part) for part in parts) == 12
    assert [part for part in parts if [slide.file for slide in part] != sorted(slide.file for slide in part)] == []
    assert len(plan_shards(slides, 100)) == 8
    assert len(plan_shards(slides, 0)) == 1
    large = [ListedSlide(f"{number}.svs", 2**30, "") for number in range(1000)]
    assert len(plan_shards(large, 0)) == 32
