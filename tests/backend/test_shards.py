"""Slides that a backend cuts in shards, each in a task of its own, and joins."""

from pathlib import Path
from typing import Any

import pytest
from backend.launcher import TaskFailed
from histoforge_components.cut_slides.component import cut_slides
from histoforge_components.preprocess.component import preprocess
from histoforge_components.scan_source.component import scan_source
from kfp import dsl

from histoforge.patches.patchset import read_info
from histoforge.phantom.slides import draw_slides
from histoforge.steps import preprocess as step
from histoforge.steps.preprocess_config import PreprocessConfig

SETTINGS: dict[str, Any] = {"preprocess.patch_size": "32", "preprocess.overview_size": 32, "preprocess.mpp": 1.0}


@dsl.pipeline(name="shards")
def shards(source: str, number: int, overrides: dict):
    scan = scan_source(source=source, overrides=overrides, shards=number)
    with dsl.ParallelFor(scan.outputs["shards"], parallelism=2) as shard:
        cut = cut_slides(source=source, slides=shard.slides, shard=shard.shard, overrides=overrides)
    preprocess(source=source, cuts=dsl.Collected(cut.outputs["cuts"]), overrides=overrides)


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four slides and a truncated one."""
    folder = tmp_path_factory.mktemp("phantom")
    draw_slides(folder, patients=4, size_px=512)
    return folder


@pytest.mark.parametrize("number", [1, 3])
def test_the_patch_set_of_shards_is_that_of_one_task(run: Any, slides: Path, tmp_path: Path, number: int) -> None:
    done = run(shards, {"source": str(slides), "number": number, "overrides": SETTINGS})
    (joined,) = [execution for execution in done.store.executions if execution.task == "preprocess"]
    cuts = [execution for execution in done.store.executions if execution.task.startswith("cut-slides")]
    assert len(cuts) == number
    uri = done.store.artifacts[joined.output_artifacts["patches"] - 1].uri
    values = {name.partition(".")[2]: value for name, value in SETTINGS.items()}
    config = PreprocessConfig.make({"source": str(slides), **values})
    step.run(config, patches=tmp_path / "alone" / "patches", overviews=tmp_path / "alone" / "overviews")
    assert read_info(done.launcher.stored(uri)).digest == read_info(tmp_path / "alone" / "patches").digest


def test_a_shard_that_fails_ends_the_run_with_the_name_of_the_slide(run: Any, slides: Path) -> None:
    overrides = {**SETTINGS, "preprocess.max_failed_slides": 0}
    with pytest.raises(TaskFailed, match=r"phantom-corrupt.tiff"):
        run(shards, {"source": str(slides), "number": 3, "overrides": overrides})
