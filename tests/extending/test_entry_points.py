"""An installed package adds a rule, a metric and an encoder; one that cannot be used is named and left out."""

import json
from pathlib import Path

import pytest
from docs_examples import CALL, run_python
from installed_package import EXAMPLE, install, python_lines, write_package

PATH = "import sys\nsys.path.insert(0, {site!r})\n"
USE = """
from pathlib import Path
from textures import write_stripes
from untrained_generator import save_generator
folder = Path({folder!r})
write_stripes(folder / "patches", (8, 6), size=32)
save_generator(folder / "generator")
inputs = ["--patches", folder / "patches", "--device", "cpu", "--preset", ""]
tiny = ["--backbone", "tiny_net", "--epochs", 1, "--seeds", 1, "--batch-size", 8]
call("train-classifier", *inputs, *tiny, "--out", folder / "baseline")
scoring = ["--extractor", folder / "baseline", "--generator", folder / "generator", "--rule", "uncertain"]
call("select-samples", *inputs, *scoring, "--out", folder / "selection")
scoring = ["--extractor", folder / "baseline", "--generator", folder / "generator", "--count", 16, "--neighbours", 3]
quick = ["--map-patches", 10, "--path-pairs", 2, "--audit-patches", 16]
call("score-generator", *inputs, *scoring, *quick, "--out", folder / "scores")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(install(EXAMPLE, tmp_path_factory.mktemp("example")))


def test_the_package_is_as_short_as_the_page_says() -> None:
    assert python_lines(EXAMPLE) <= 40


def test_its_rule_metric_and_encoder_serve_in_the_steps(site: str, tmp_path: Path) -> None:
    run_python(PATH.format(site=site) + CALL + USE.format(folder=str(tmp_path)))
    assert json.loads((tmp_path / "baseline" / "arm.json").read_text())["method"] == "tiny_net"
    chosen = json.loads((tmp_path / "selection" / "selected" / "patchset.json").read_text())
    assert chosen["made_by"]["config"]["rule"] == "uncertain"
    scores = json.loads((tmp_path / "scores" / "scores" / "scores.json").read_text())
    assert all(row["mean_shift"] > 0 for row in scores["generative"])


def test_importing_the_package_first_finds_it_too(site: str) -> None:
    code = "import histoforge_example\nfrom histoforge.selection.rules import RULES\nprint(*RULES)"
    assert "uncertain" in run_python(PATH.format(site=site) + code).split()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('no licence\\nfound')", "RuntimeError: no licence found"),
        ("ENTRY = 3", "broken:ENTRY is no Rule"),
        (
            "from histoforge.selection.rules import Rule\nENTRY = Rule('random', 'x', 'broken')",
            "there is already a selection rule 'random'",
        ),
    ],
)
def test_a_package_that_cannot_be_used_is_named_and_left_out(code: str, reason: str, tmp_path: Path) -> None:
    source = write_package(tmp_path / "broken", "histoforge.selection_rules", code)
    look = """
import contextlib, io
said = io.StringIO()
with contextlib.redirect_stderr(said):
    from histoforge.selection.rules import RULES
    print(*RULES)
print(said.getvalue())
"""
    names, warning = run_python(PATH.format(site=str(install(source, tmp_path))) + look).strip().split("\n", 1)
    assert names.split() == ["entropy_centroid", "distance", "random", "confidence"]
    assert warning == (
        f"warning: 'entry' (histoforge.selection_rules) of the package broken 2.0 is left out ({reason}): update that "
        "package, or uninstall it."
    )
