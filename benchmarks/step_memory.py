"""Peak memory of the steps that score, select and compare patches, against the number of patches.

    python benchmarks/step_memory.py                                      # 10,000 and 100,000 patches
    python benchmarks/step_memory.py --patches 1000000 --steps select_samples
    python benchmarks/step_memory.py --patches 10000 20000 --compared 20000   # metrics and audit of all patches, too

The patches are drawn noise of 64 px: 60% for training, 20% each for validation and test. Generator and classifiers are
small networks that have hardly been trained, because memory is measured and not what they find. Each step runs in a
process of its own, whose peak (VmHWM of Linux) includes all imports. The last column is what one more patch adds, from
the smallest and the largest set.
"""

import argparse
import contextlib
import io
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from timing import surroundings

from histoforge.core.progress import say
from histoforge.patches import PatchSetWriter
from histoforge.steps import train_classifier, train_generator
from histoforge.steps.table import STEPS
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.steps.train_generator_config import TrainGeneratorConfig

CLASSES = ["normal", "tumour"]
SIZE = 64
PATIENTS = 100
SPLITS = np.array(["train"] * 6 + ["val"] * 2 + ["test"] * 2)
CLASSIFIER = {"backbone": "resnet10", "width": 0.125, "stem": "imagenet", "epochs": 1, "seeds": 2}
GENERATOR = {"method": "dcgan", "generator_maps": 4, "discriminator_maps": 4, "epochs": 1, "epoch_steps": 1}
MIB = 1 << 20


def write_patches(path: Path, count: int) -> None:
    """Write blurred noise as a patch set, patient after patient."""
    rng = np.random.default_rng(0)
    with PatchSetWriter.create(path, CLASSES, (SIZE, SIZE), mpp=1.0) as writer:
        for patient, rows in enumerate(np.array_split(np.arange(count), PATIENTS)):
            for some in np.array_split(rows, max(1, len(rows) // 1000)):
                coarse = rng.integers(0, 256, (len(some), SIZE // 8, SIZE // 8, 3), np.uint8)
                pixels = coarse.repeat(8, 1).repeat(8, 2) // 2 + rng.integers(0, 128, (SIZE, SIZE, 1), np.uint8)
                split, name = SPLITS[patient % len(SPLITS)], f"p{patient}"
                writer.add(pixels, label=some % len(CLASSES), patient=name, slide=name, split=split)
        writer.finish({"step": "preprocess"})


def write_models(folder: Path) -> None:
    """Train an arm of two small classifiers, and a generator for one step."""
    write_patches(folder / "few", 1000)
    train_classifier.run(TrainClassifierConfig.make(CLASSIFIER), patches=folder / "few", model=folder / "arm")
    config = TrainGeneratorConfig.make(GENERATOR)
    train_generator.run(config, patches=folder / "few", generator=folder / "generator")


@dataclass(frozen=True)
class Call:
    """A call of a step on files of one folder.

    Attributes:
        settings: its parameters.
        compared: parameters that are the maximum number of patches in metrics and audit.
        files: names of inputs and outputs that differ from those of the files.
    """

    settings: dict[str, Any]
    compared: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)


CALLS = {
    "select_samples": Call({"ratio": 0.5, "pool_multiple": 1.0, "passes": 1}, files={"extractor": "arm"}),
    "score_generator": Call({"path_pairs": 16}, ("count", "audit_patches"), {"extractor": "arm"}),
    "evaluate": Call({"resamples": 100}, ("metric_patches",), {"arms": "arm"}),
    "leaderboard": Call({}, files={"baseline": "arm", "report": "page", "metrics": "board"}),
    "score_images": Call({}, ("tiles",), {"extractor": "arm", "images": "pool", "scores": "image-scores"}),
}
"""As many candidates as training patches are drawn and scored, and half of them kept; a generator is scored; an arm is
tested, and the pool compared with real patches; one generator has a leaderboard; and the pool is scored as large images
of one tile each."""


def run_step(name: str, folder: Path, compared: int) -> None:
    """Run a step on the files in a folder that it has inputs for."""
    step, call = STEPS[name], CALLS[name]
    config = step.config_class.make({**call.settings, **dict.fromkeys(call.compared, compared)})
    paths: dict[str, Any] = {}
    for port in step.inputs:
        path = folder / call.files.get(port.name, port.name)
        if path.exists():
            paths[port.name] = [path] if port.many else path
    outputs = {port.name: folder / call.files.get(port.name, port.name) for port in step.outputs}
    step.run(config, **paths, **outputs)


def measure(step: str, folder: Path, compared: int) -> tuple[float, float]:
    """Run a step in this process, and return the peak of its resident memory (MiB) and its duration (s)."""
    began = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        run_step(step, folder, compared)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024, time.perf_counter() - began


def measure_all(counts: Sequence[int], steps: Sequence[str], compared: int) -> dict[str, list[tuple[float, float]]]:
    """Return peak (MiB) and duration (s) of each step for each number of patches."""
    results: dict[str, list[tuple[float, float]]] = {step: [] for step in steps}
    spawn = multiprocessing.get_context("spawn")
    for count in counts:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            with ProcessPoolExecutor(1, spawn) as pool:
                pool.submit(write_models, folder).result()
                pool.submit(write_patches, folder / "patches", count).result()
            for step in steps:
                with ProcessPoolExecutor(1, spawn) as pool:
                    results[step].append(pool.submit(measure, step, folder, compared).result())
                    say(f"step_memory: {step}, {count:,} patches: {results[step][-1]}")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--steps", nargs="+", choices=CALLS, default=list(CALLS))
    parser.add_argument("--compared", type=int, default=2000, help="maximum number in metrics and audit (default 2000)")
    options = parser.parse_args()
    results = measure_all(options.patches, options.steps, options.compared)
    print(surroundings(["histoforge", "torch", "numpy", "pandas"]))
    print(f"\n**Peak memory, MiB; patches of {SIZE} px, {options.compared:,} compared**\n")
    print("| step | " + " | ".join(f"{count:,} patches" for count in options.patches) + " | bytes per further patch |")
    print("| --- |" + " ---: |" * (len(options.patches) + 1))
    for step, measured in results.items():
        peaks = [peak for peak, _ in measured]
        further = (peaks[-1] - peaks[0]) * MIB / max(1, options.patches[-1] - options.patches[0])
        print(f"| {step} | " + " | ".join(f"{peak:,.0f}" for peak in peaks) + f" | {further:,.0f} |")


if __name__ == "__main__":
    main()
