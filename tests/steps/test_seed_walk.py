"""The walk of a seed from the command line to a random generator, as docs/architecture.md describes it."""

import contextlib
import itertools
import traceback
from pathlib import Path

from textures import write_stripes

from histoforge.cli import main
from histoforge.training import engine

SOURCE = Path(engine.__file__).parents[1]
DOCS = SOURCE.parents[1] / "docs" / "architecture.md"


def test_a_seed_passes_each_package_once(tmp_path, monkeypatch):
    walks = []
    derive_seed = engine.derive_seed

    def recording(seed, *purpose):
        files = [Path(frame.filename) for frame in traceback.extract_stack()]
        packages = [file.relative_to(SOURCE).parts[0] for file in files if file.is_relative_to(SOURCE)]
        walks.append((seed, [package for package, _ in itertools.groupby(packages)]))
        return derive_seed(seed, *purpose)

    monkeypatch.setattr(engine, "derive_seed", recording)
    write_stripes(tmp_path / "patches", size=32)
    tiny = ["--preset", "", "--set", "epochs=1", "--set", "epoch_steps=1", "--set", "batch_size=4", "--device", "cpu"]
    paths = ["--patches", str(tmp_path / "patches"), "--out", str(tmp_path / "generator")]
    with contextlib.suppress(SystemExit):
        main(["train-generator", *paths, *tiny, "--method", "dcgan", "--seed", "7"])
    assert (tmp_path / "generator" / "model.json").is_file()
    seed, packages = walks[0]
    assert (seed, packages) == (7, ["cli", "tasks", "steps", "training"])
    section = DOCS.read_text(encoding="utf-8").partition("## The walk of a seed\n")[2].partition("\n## ")[0]
    positions = [section.index(f"**`{package}`**") for package in (*packages, "core")]
    assert positions == sorted(positions)
