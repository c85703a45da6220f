"""The benchmarks time the trainings that ship."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from steps.two_pictures import make_extractor

from histoforge.generators.dcgan import train as dcgan
from histoforge.generators.histogan import train as histogan
from histoforge.generators.methods import METHODS

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
TINY = {"batch_size": 4, "epochs": 1, "epoch_steps": 3, "checkpoint_every": 0, "device": "cpu"}
NETWORKS = {
    "dcgan": {"generator_maps": 4, "discriminator_maps": 4},
    "histogan": {"base_channels": 8, "min_channels": 4, "critic_channels": 4, "critic_max_channels": 8, "up_blocks": 2},
}


@pytest.fixture
def benchmark(monkeypatch):
    """Return a function that imports a benchmark, whatever modules of the same names other tests have imported."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = [path.stem for path in BENCHMARKS.glob("*.py")]
    modules = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(modules)


@pytest.fixture
def imported(monkeypatch):
    """Stand for a module that other tests have imported under the name of a benchmark."""
    monkeypatch.setitem(sys.modules, "timing", ModuleType("timing"))


def test_a_module_of_the_same_name_is_not_taken_for_the_benchmark(imported, benchmark):
    assert Path(benchmark("timing").__file__).parent == BENCHMARKS


@pytest.mark.parametrize(("method", "module"), [("dcgan", dcgan), ("histogan", histogan)])
def test_a_step_is_one_of_the_methods_own_training(method, module, benchmark, monkeypatch, tmp_path):
    shipped = benchmark("shipped")
    train, calls = module.train, []

    def noted(*arguments):
        calls.append(arguments)
        return train(*arguments)

    monkeypatch.setattr(module, "train", noted)
    patches = shipped.random_patches(tmp_path / "patches", 8, 16, classes=2)
    config = METHODS[method].config({**TINY, **NETWORKS[method]})
    seconds, generator, _ = shipped.seconds_per_step(method, config, patches)
    assert seconds > 0
    assert len(calls) == 1
    assert calls[0][0] is config
    assert generator.info.method == method


def test_learning_curves_continue_and_measure_each_mark(benchmark, monkeypatch, tmp_path):
    learning_curves = benchmark("learning_curves")
    command = ["learning_curves.py", "--methods", "dcgan", "--every", "2", "--out", str(tmp_path), "--size", "16"]
    command += ["--per-class", "40", "--drawn", "20", "--patients", "2"]
    options = ["--set", "generator_maps=4", "discriminator_maps=4", "batch_size=4", "device=cpu"]
    monkeypatch.setattr(learning_curves, "train_classifier", Untrained())
    for steps in ("4", "6"):
        monkeypatch.setattr(sys, "argv", [*command, "--steps", steps, *options])
        learning_curves.main()
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert curves.step[curves.name == "dcgan"].tolist() == [2, 4, 6] * 3
    floor = curves[curves.name == "floor"].set_index("space").FID
    assert all(5 * floor[row.space] < row.FID for row in curves[curves.name == "dcgan"].itertuples())
    assert {path.name for path in (tmp_path / "pictures").iterdir()} >= {"real.png", "dcgan-000006.png"}
    assert (tmp_path / "curves.png").stat().st_size > 5000
    drawn = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("runs/dcgan/0-benign/marks/*.npy")}
    learning_curves.main()
    assert drawn == {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("runs/dcgan/0-benign/marks/*.npy")}


class Untrained:
    """Stands for the training of a classifier, and writes one with random weights."""

    def run(self, config, patches, model):
        make_extractor(model)


def test_large_images_are_equal_to_those_of_one_call_per_window(benchmark, monkeypatch, capsys):
    options = ["--channels", "8", "--patch", "64", "--size", "128", "--rounds", "1", "--sizes"]
    monkeypatch.setattr(sys, "argv", ["large_images.py", *options])
    benchmark("large_images").main()
    printed = capsys.readouterr().out
    assert "9 windows of 64 px, 3 steps" in printed
    difference = re.search(r"in float32: (\S+) ", printed)
    assert float(difference[1]) < 1e-3
