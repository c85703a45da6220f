"""An installed package adds a generator, which is imported, scored and selected from like any other."""

import json
from pathlib import Path

from docs_examples import CALL, run_python
from installed_package import EXAMPLE, install, python_lines

PACKAGE = EXAMPLE.with_name("histoforge-generator-example")
PATH = "import sys\nsys.path.insert(0, {site!r})\n"
USE = """
from pathlib import Path
import torch
from safetensors.torch import save_file
from textures import write_stripes
folder = Path({folder!r})
write_stripes(folder / "patches", (8, 6), size=32)
(folder / "weights").mkdir()
save_file({{"colours": torch.tensor([[0.5, 0.2, 0.4], [-0.3, -0.5, 0.0]])}}, folder / "weights" / "tint.safetensors")
inputs = ["--patches", folder / "patches", "--device", "cpu"]
given = ["--entry-point", "tint", "--source", folder / "weights", "--class-map", "pale=coarse, dark=fine"]
call("import-generator", *inputs, *given, "--out", folder / "tint")
tiny = ["--preset", "", "--backbone", "resnet10", "--width", 0.125, "--epochs", 1, "--seeds", 1, "--batch-size", 8]
call("train-classifier", *inputs, *tiny, "--out", folder / "baseline")
models = ["--preset", "", "--extractor", folder / "baseline", "--generator", folder / "tint"]
call("select-samples", *inputs, *models, "--out", folder / "selection")
quick = ["--count", 16, "--neighbours", 3, "--map-patches", 10, "--path-pairs", 0, "--audit-patches", 16]
call("score-generator", *inputs, *models, *quick, "--out", folder / "scores")
"""


def test_the_package_is_as_short_as_the_page_says() -> None:
    assert python_lines(PACKAGE) <= 40


def test_its_generator_is_scored_and_selected_from(tmp_path: Path) -> None:
    site = str(install(PACKAGE, tmp_path / "site"))
    run_python(PATH.format(site=site) + CALL + USE.format(folder=str(tmp_path)))
    model = json.loads((tmp_path / "tint" / "model.json").read_text())
    assert model["config"]["origin"] == {"name": "tint", "origin": "", "licence": "CC0-1.0"}
    assert len(model["weights"]) == 64
    selected = json.loads((tmp_path / "selection" / "selected" / "patchset.json").read_text())
    assert selected["made_by"]["generator"] == model["digest"]
    scores = json.loads((tmp_path / "scores" / "scores" / "scores.json").read_text())
    assert (scores["name"], scores["method"]) == ("tint", "installed")
    assert scores["digests"]["weights"] == model["weights"]
