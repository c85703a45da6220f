"""Steps that select, score and compare patches read their pixels in blocks, with the same results."""

import pytest
from scoring_parts import SCORING, SIDE, train_arm, write_generator, write_patches

from histoforge.evaluation import patch_features, scoring
from histoforge.metrics import extractor_check, pixel_statistics
from histoforge.patches import blocks
from histoforge.patches.chunks import ChunkReader
from histoforge.patches.device import PATCH_MEMORY
from histoforge.steps import evaluate, leaderboard, score_generator, select_samples
from histoforge.steps.evaluate_config import EvaluateConfig
from histoforge.steps.leaderboard_config import LeaderboardConfig
from histoforge.steps.score_generator_config import ScoreGeneratorConfig
from histoforge.steps.select_samples_config import SelectSamplesConfig

ON_CPU = {"device": "cpu", "precision": "float32"}
MOST_ROWS = 32
"""Fewer patches than any split or synthetic set has here."""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    write_patches(folder / "patches")
    train_arm(folder / "arm", folder / "patches")
    write_generator(folder / "generator")
    return folder


def run_steps(given, out):
    """Run the steps, and return their summaries without times."""
    config = SelectSamplesConfig.make({**ON_CPU, "ratio": 0.6, "pool_multiple": 1.2, "passes": 2, "batch_size": 8})
    selected = select_samples.run(
        config,
        patches=given / "patches",
        extractor=given / "arm",
        generator=given / "generator",
        selected=out / "selected",
        pool=out / "pool",
    )
    scored = score_generator.run(
        ScoreGeneratorConfig.make({**SCORING, "batch_size": 8, "generations": 2}),
        patches=given / "patches",
        generator=given / "generator",
        extractor=given / "arm",
        samples=out / "samples",
        scores=out / "scores",
    )
    evaluated = evaluate.run(
        EvaluateConfig.make({**ON_CPU, "batch_size": 8, "resamples": 100, "shown_patches": 2}),
        patches=given / "patches",
        arms=[given / "arm"],
        pool=out / "pool",
        report=out / "report.html",
        metrics=out / "metrics.json",
    )
    ranked = leaderboard.run(
        LeaderboardConfig.make({**ON_CPU, "batch_size": 8, "resamples": 100}),
        patches=given / "patches",
        scores=[out / "scores"],
        baseline=given / "arm",
        report=out / "page.html",
        metrics=out / "board.json",
    )
    timed = {"seconds", "seconds_per_thousand", "peak_memory_mb", "markdown", "means", "answer"}
    return [step.model_dump(exclude=timed) for step in (selected, scored, evaluated, ranked)]


def test_no_step_reads_many_patches_at_once_and_the_results_stay_the_same(given, tmp_path, monkeypatch):
    for module in (scoring, patch_features):
        monkeypatch.setattr(module, "REFERENCE_PATCHES", 20)
    monkeypatch.setattr(extractor_check, "PATCHES", 20)
    monkeypatch.setattr(pixel_statistics, "FITTED_PATCHES", 20)
    at_once = run_steps(given, tmp_path / "at_once")
    read = ChunkReader.read

    def read_some(reader, rows):
        assert len(rows) <= MOST_ROWS
        return read(reader, rows)

    monkeypatch.setattr(ChunkReader, "read", read_some)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 8 * SIDE * SIDE * 3)
    monkeypatch.setenv(PATCH_MEMORY, "0")
    assert run_steps(given, tmp_path / "in_blocks") == at_once
