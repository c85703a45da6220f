"""Slides that a backend cuts in shards, each in a task of its own, and joins."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from backend.launcher import PodDeleted, TaskFailed
from backend.runners import InProcess
from backend.workflow import Run
from histoforge_components.cut_slides.component import cut_slides
from histoforge_components.preprocess.component import preprocess
from histoforge_components.scan_source.component import scan_source
from kfp import dsl

from histoforge.patches.description import read_info
from histoforge.phantom.slides import draw_slides
from histoforge.steps import preprocess as step
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.steps.step import RETRIES

SETTINGS: dict[str, Any] = {"preprocess.patch_size": "32", "preprocess.overview_size": 32, "preprocess.mpp": 1.0}


@dsl.pipeline(name="shards")
def shards(source: str, number: int, overrides: dict):
    scan = scan_source(source=source, overrides=overrides, shards=number)
    with dsl.ParallelFor(scan.outputs["shards"], parallelism=2) as shard:
        cut = cut_slides(source=source, slides=shard.slides, shard=shard.shard, overrides=overrides)
        cut.set_retry(RETRIES)
    preprocess(source=source, cuts=dsl.Collected(cut.outputs["cuts"]), overrides=overrides)


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four slides and a truncated one."""
    folder = tmp_path_factory.mktemp("phantom")
    draw_slides(folder, patients=4, size_px=512)
    return folder


@pytest.fixture(scope="module")
def alone(slides: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the patch set that one task makes of the slides."""
    out = tmp_path_factory.mktemp("alone")
    values = {name.partition(".")[2]: value for name, value in SETTINGS.items()}
    config = PreprocessConfig.make({"source": str(slides), **values})
    step.run(config, patches=out / "patches", overviews=out / "overviews")
    return read_info(out / "patches").digest


@pytest.mark.parametrize("number", [1, 3])
def test_the_patch_set_of_shards_is_that_of_one_task(run: Any, slides: Path, alone: str, number: int) -> None:
    done = run(shards, {"source": str(slides), "number": number, "overrides": SETTINGS})
    cuts = [execution for execution in done.store.executions if execution.task.startswith("cut-slides")]
    assert len(cuts) == number
    assert digest_of_patches(done) == alone


def digest_of_patches(run: Run) -> str:
    (joined,) = [execution for execution in run.store.executions if execution.task == "preprocess"]
    uri = run.store.artifacts[joined.output_artifacts["patches"] - 1].uri
    return read_info(run.launcher.stored(uri)).digest


class LosesPods(InProcess):
    """Loses the first pods of a shard."""

    def __init__(self, shard: str, pods: int) -> None:
        self.shard, self.pods = shard, pods

    def run(self, image: str, command: Sequence[str], environment: Mapping[str, str], pod: Path, log: Path) -> int:
        if self.shard in " ".join(command) and int(environment["KFP_RETRY_INDEX"]) < self.pods:
            raise PodDeleted
        return super().run(image, command, environment, pod, log)


def test_a_shard_that_is_lost_with_its_pods_is_named_and_left_to_the_join(
    compiled: Any, slides: Path, alone: str, objects: Path, tmp_path: Path
) -> None:
    arguments = {"source": str(slides), "number": 3, "overrides": SETTINGS}
    done = Run(compiled(shards), LosesPods("2 of 3", RETRIES), tmp_path / "run", objects).start(arguments)
    logs = logs_of(tmp_path / "run")
    assert "the shard 2 of 3 was lost with its pod 2 times: preprocess cuts what is left of it" in logs
    assert digest_of_patches(done) == alone


def logs_of(run: Path) -> str:
    return "".join(path.read_text() for path in run.rglob("executor-logs-*"))


def test_a_shard_that_is_lost_with_its_last_pod_too_ends_the_run_and_the_next_run_cuts_the_rest(
    compiled: Any, slides: Path, alone: str, objects: Path, tmp_path: Path
) -> None:
    overrides = {**SETTINGS, "preprocess.slide_cache": str(tmp_path / "cache")}
    arguments = {"source": str(slides), "number": 2, "overrides": overrides}
    ended = Run(compiled(shards), LosesPods("2 of 2", RETRIES + 1), tmp_path / "ended", objects)
    with pytest.raises(PodDeleted):
        ended.start(arguments)
    assert "cut_slides: 2 slides are cut\n" in logs_of(tmp_path / "ended")
    done = Run(compiled(shards), InProcess(), tmp_path / "next", objects).start(arguments)
    assert "cut_slides: 2 slides are cut, 2 of them before" in logs_of(tmp_path / "next")
    assert digest_of_patches(done) == alone


def test_a_shard_that_fails_ends_the_run_with_the_name_of_the_slide(run: Any, slides: Path) -> None:
    overrides = {**SETTINGS, "preprocess.max_failed_slides": 0}
    with pytest.raises(TaskFailed, match=r"phantom-corrupt.tiff"):
        run(shards, {"source": str(slides), "number": 3, "overrides": overrides})
