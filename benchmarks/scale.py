"""What a source of many slides costs: slides per hour against the number of shards that are cut side by side.

Drawn slides are cut in 1, 2 and 4 shards at the same time, each by a process with one reading thread, as by a pod with
one core, and then joined; beside them, `preprocess` cuts and joins in one process. Processes are started, and modules
imported, before the clock runs; rounds alternate between the ways, and the fastest of each counts.

    python benchmarks/scale.py --slides 16 --size 4096 --shards 1 2 4

The other measurements of large sources and sets are in `streaming.py` (training from files and from a bucket) and in
`step_memory.py` (peak memory of the steps against the number of patches).
"""

import argparse
import contextlib
import io
import multiprocessing
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from timing import surroundings

from histoforge.core.text import counted
from histoforge.ingest.shards import list_versions, plan_shards
from histoforge.phantom.slides import draw_slides
from histoforge.steps import cut_slides, preprocess
from histoforge.steps.cut_slides_config import CutSlidesConfig
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.storage import open_location

SETTINGS = {"patch_size": "96", "mpp": 0.5}


class Seconds(NamedTuple):
    """Wall-clock time of cutting all shards and of joining them, and the processor time of all processes."""

    cutting: float
    joining: float
    processor: float

    @property
    def total(self) -> float:
        """Wall-clock time of both."""
        return self.cutting + self.joining


def cut_shard(source: Path, slides: list[str], out: Path) -> float:
    """Cut one shard with one thread, and return the processor time, s."""
    began = time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):
        config = CutSlidesConfig.make({"source": str(source), "workers": 1, "slides": slides, **SETTINGS})
        cut_slides.run(config, cuts=out)
    return time.process_time() - began


def make_patch_set(source: Path, out: Path, cuts: list[Path]) -> tuple[float, float]:
    """Run `preprocess` with one thread, and return its wall-clock and processor time, s."""
    config = PreprocessConfig.make({"source": str(source), "workers": 1, **SETTINGS})
    began, processor = time.perf_counter(), time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):
        preprocess.run(config, patches=out / "patches", overviews=out / "overviews", cuts=cuts)
    return time.perf_counter() - began, time.process_time() - processor


def in_shards(source: Path, out: Path, shards: int) -> Seconds:
    """Cut all shards side by side, and join them."""
    parts = plan_shards(list_versions(open_location(str(source)).entries()), shards)
    cuts = [out / str(number) for number in range(len(parts))]
    with ProcessPoolExecutor(shards, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(time.sleep, [0.5] * shards))  # so that every process has started and imported this module
        began = time.perf_counter()
        jobs = [
            pool.submit(cut_shard, source, [slide.text for slide in part], folder)
            for part, folder in zip(parts, cuts, strict=True)
        ]
        processor = sum(job.result() for job in jobs)
        cutting = time.perf_counter() - began
    joining, of_joining = make_patch_set(source, out, cuts)
    return Seconds(cutting, joining, processor + of_joining)


def in_one_task(source: Path, out: Path) -> Seconds:
    """Cut and join in one process."""
    taken, processor = make_patch_set(source, out, [])
    return Seconds(taken, 0.0, processor)


def measure(source: Path, shards: list[int], rounds: int, folder: Path) -> dict[str, Seconds]:
    """Return the fastest of several rounds of each way."""
    best: dict[str, Seconds] = {}
    for _ in range(rounds):
        for number in (0, *shards):
            out = folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            taken = in_shards(source, out, number) if number else in_one_task(source, out)
            name = counted(number, "shards") if number else "one task"
            best[name] = min(taken, best.get(name, taken), key=lambda seconds: seconds.total)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=16)
    parser.add_argument("--size", type=int, default=4096, help="height and width of a slide, px")
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "slides"
        draw_slides(source, patients=given.slides, size_px=given.size, corrupt=False)
        count = len(list(source.glob("*.tiff")))
        best = measure(source, given.shards, given.rounds, Path(folder))
    print(surroundings(["numpy", "openslide-python", "openslide-bin"]))
    print(f"\n**{count} slides of {given.size} px, patches of {SETTINGS['patch_size']} px**\n")
    print("| | cutting, s | joining, s | slides per hour | times as fast | processor time, s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, taken in best.items():
        times = f"{taken.cutting:.2f} | {taken.joining:.2f} | {3600 * count / taken.total:,.0f}"
        print(f"| {name} | {times} | {best['one task'].total / taken.total:.2f} | {taken.processor:.2f} |")


if __name__ == "__main__":
    main()
