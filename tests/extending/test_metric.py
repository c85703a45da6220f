"""A metric is added by its function and one entry of the registry, as docs/extending.md describes."""

import json
from pathlib import Path

import pytest
from docs_examples import run_python, write_example

REGISTER = """
import histoforge.metrics
histoforge.metrics.__path__.append({packages!r})
from histoforge.metrics.table import METRICS, TWO_DECIMALS, Metric
METRICS.register({entry})
"""
RUN = """
import json
from pathlib import Path
from histoforge.cli import main
from scoring_parts import train_arm, write_generator, write_patches

def run(*arguments):
    try:
        main([*arguments, "--device", "cpu", "--map-patches", "20", "--preset", ""])
    except SystemExit as ended:
        assert not ended.code, (arguments, ended.code)

folder = Path({folder!r})
patches = ["--patches", str(folder / "patches")]
write_patches(folder / "patches")
train_arm(folder / "baseline", folder / "patches")
for seed in (0, 1):
    write_generator(folder / f"generator-{{seed}}", seed)
    run(
        "score-generator", *patches, "--extractor", str(folder / "baseline"), "--count", "40", "--neighbours", "3",
        "--generator", str(folder / f"generator-{{seed}}"), "--out", str(folder / f"scored-{{seed}}"),
    )
scores = [argument for seed in (0, 1) for argument in ("--scores", str(folder / f"scored-{{seed}}" / "scores"))]
run("leaderboard", *patches, *scores, "--out", str(folder / "board"))
arms = ["--arms", str(folder / "baseline"), "--selected", str(folder / "scored-0" / "samples")]
run("evaluate", *patches, *arms, "--set", "resamples=100", "--out", str(folder / "evaluation"))
try:
    main(["inspect", str(folder / "scored-0" / "scores")])
except SystemExit as ended:
    assert not ended.code

from histoforge.steps import leaderboard, score_generator
from histoforge.steps.leaderboard_config import LeaderboardConfig
from histoforge.steps.score_generator_config import ScoreGeneratorConfig
from histoforge.tasks.task_outputs import numbers

scored = score_generator.run(
    ScoreGeneratorConfig.make({{"device": "cpu", "count": 40, "map_patches": 20, "neighbours": 3}}),
    patches=folder / "patches", generator=folder / "generator-0", extractor=folder / "baseline",
    samples=folder / "samples", scores=folder / "scores",
)
board = leaderboard.run(
    LeaderboardConfig.make({{"device": "cpu", "map_patches": 20}}), patches=folder / "patches",
    scores=[folder / "scores"], report=folder / "page.html", metrics=folder / "page.json",
)
logged = {{"score_generator": numbers(scored.model_dump()), "leaderboard": numbers(board.model_dump())}}
print("numbers:", json.dumps(logged))
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """A folder of everything that the commands wrote with the metric of the docs registered, and the printed text."""
    folder, packages = tmp_path_factory.mktemp("outputs"), tmp_path_factory.mktemp("packages")
    entry = write_example("A metric", packages)
    register = REGISTER.format(packages=str(packages / "metrics"), entry=entry)
    return folder, run_python(register + RUN.format(folder=str(folder)))


def read(path: Path):
    return json.loads(path.read_text())


def test_it_is_computed_with_every_extractor(outputs):
    folder, _ = outputs
    for rows in (
        read(folder / "scored-0" / "scores" / "scores.json")["generative"],
        read(folder / "scored-0" / "scores" / "scores.json")["held_out"],
        read(folder / "evaluation" / "metrics.json")["generative"],
    ):
        assert len({row["extractor"] for row in rows}) == 4
        assert all(row["mean_shift"] > 0 for row in rows)


def test_it_is_a_column_of_the_leaderboard(outputs):
    folder, _ = outputs
    values = [
        next(row["mean_shift"] for row in scores["generative"] if row["extractor"] == scores["judge"])
        for scores in (read(folder / f"scored-{seed}" / "scores" / "scores.json") for seed in (0, 1))
    ]
    metric = read(folder / "board" / "leaderboard.json")["methods"]["histogan"]["metrics"]["mean_shift"]
    assert metric["mean"] == pytest.approx(sum(values) / 2)
    assert metric["seeds"] == {"0": values[0], "1": values[1]}
    page = (folder / "board" / "leaderboard.html").read_text()
    assert page.count("Mean shift") >= 2
    assert f"{metric['mean']:,.2f}" in page
    assert "Mean shift" in (folder / "evaluation" / "report.html").read_text()


def test_inspect_prints_it(outputs):
    assert "metrics.mean_shift" in outputs[1]


def test_it_is_among_the_numbers_that_kubeflow_shows(outputs):
    numbers = json.loads(outputs[1].rpartition("numbers: ")[2])
    scores = read(outputs[0] / "scored-0" / "scores" / "scores.json")
    judge = next(row for row in scores["generative"] if row["extractor"] == scores["judge"])
    assert numbers["score_generator"]["metrics.mean_shift"] == pytest.approx(judge["mean_shift"])
    assert numbers["leaderboard"]["means.histogan.mean_shift"] > 0
