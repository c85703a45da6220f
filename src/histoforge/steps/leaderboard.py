"""Compare generators on one page that shows all their metrics, with standard deviations over seeds."""

import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from histoforge import __version__
from histoforge.core.documents import known_shape
from histoforge.core.errors import ModelError
from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.core.seals import DIGEST, VERSION, file_below, read_sealed
from histoforge.core.text import dimensions
from histoforge.evaluation.downstream import TestSplit, score_arms, score_baseline
from histoforge.evaluation.findings import PictureFile
from histoforge.evaluation.leaderboard_entries import Scored, build_entries, mean_distances, methods_map, open_scores
from histoforge.evaluation.leaderboard_file import AnswerRecord, leaderboard_results
from histoforge.evaluation.leaderboard_findings import LeaderboardEntry, LeaderboardFindings
from histoforge.evaluation.spaces import DISTANCES, order_warnings
from histoforge.metrics.table import METRICS
from histoforge.patches import PatchSet
from histoforge.patches.matching import check_same_format
from histoforge.reports.layout.page import write_page
from histoforge.reports.leaderboard_page import build_leaderboard_page
from histoforge.reports.text.leaderboard_answer import leaderboard_answer
from histoforge.reports.text.markdown import leaderboard_markdown
from histoforge.steps.leaderboard_config import LeaderboardConfig, LeaderboardSummary
from histoforge.training.device import resolve_device, resolve_precision
from histoforge.training.model_files import read_model_info

GUIDE_REPORT, GUIDE_SCHEMA, GUIDE_ADVICE = "guide.json", 1, "run finetune_snn again"


def run(
    config: LeaderboardConfig,
    *,
    patches: Path,
    scores: Sequence[Path],
    arms: Sequence[Path] | None = None,
    guide: Path | None = None,
    baseline: Path | None = None,
    report: Path,
    metrics: Path,
) -> LeaderboardSummary:
    """Write the leaderboard; the test split is read only if there are arms.

    Args:
        config: the settings.
        patches: patch set of real patches that all generators were trained on and scored with.
        scores: folders that `score_generator` made; folders that share a name are seeds of one method.
        arms: arms that `train_classifier` trained on their samples, alone or with the real patches.
        guide: the guide of guided methods, whose report is shown.
        baseline: arm trained only on the real patches, for comparison.
        report: the HTML page to write.
        metrics: the JSON file to write.

    Raises:
        HistoforgeError: if there are no scores, or the inputs do not belong together.
    """
    started = time.monotonic()
    real, device = PatchSet.open(patches), resolve_device(config.device)
    scored, warnings = open_scores(scores, real)
    guide_report, guide_pictures = _guide(guide, real)
    split = _test_split(config, real, device) if arms or baseline else None
    downstream = score_arms(arms or (), scored, split) if split else {}
    baseline_scores = score_baseline(Path(baseline), split) if split and baseline else None
    notes = dict.fromkeys(f"{each.note}." for by_use in downstream.values() for each in by_use.values() if each.note)
    entries = build_entries(scored, downstream)
    first = scored[0].scores
    findings = LeaderboardFindings(
        title=config.heading or f"Which generator draws {' and '.join(real.classes)} best?",
        subtitle=_subtitle(real),
        classes=real.classes,
        entries=entries,
        baseline=baseline_scores,
        judges=[first.judge],
        independent=first.independent,
        other_architecture=first.other_architecture,
        confidence=config.confidence,
        units=split.units if split else "",
        test_patches=len(split.patches) if split else 0,
        test_units=split.n_units if split else 0,
        map=methods_map(scored, [entry.name for entry in entries], config.map_patches, config.seed),
        guide=guide_report,
        guide_pictures=guide_pictures,
        warnings=[*warnings, *notes, *_order_warnings(entries)],
        settings=_settings(config, scored),
        provenance=_provenance(real, scored, guide, device, started),
    )
    return _write(findings, Path(report), Path(metrics), started)


def _order_warnings(entries: Sequence[LeaderboardEntry]) -> list[str]:
    """Return a warning for each distance whose order of the methods depends on the space."""
    by_distance = ((METRICS[name].title, mean_distances(entries, name)) for name in DISTANCES)
    return [warning for title, distances in by_distance for warning in order_warnings(distances, title)]


def _test_split(config: LeaderboardConfig, real: PatchSet, device: torch.device) -> TestSplit:
    return TestSplit(
        real,
        device,
        resolve_precision(config.precision, device),
        batch_size=config.batch_size,
        resamples=config.resamples,
        confidence=config.confidence,
        seed=config.seed,
    )


def _subtitle(real: PatchSet) -> str:
    size = dimensions(real.patch_size)
    mpp = f" at {real.info.mpp:.3g} um/px" if real.info.mpp else ""
    return f"histoforge leaderboard, {time.strftime('%Y-%m-%d')}: patches of {size} px{mpp}"


def _guide(path: Path | None, real: PatchSet) -> tuple[dict[str, Any] | None, list[PictureFile]]:
    """Return the guide's report and its pictures.

    Raises:
        ModelError: if it is not a guide, or was trained on other patches.
    """
    if path is None:
        return None, []
    info = read_model_info(path, "guide")
    advice = "name the guide that these generators were trained with, or leave it out"
    check_same_format(f"The guide {path} was trained on", info, "the patch set", real, advice)
    file = Path(path) / GUIDE_REPORT
    report = read_sealed(file, GUIDE_SCHEMA, GUIDE_ADVICE) if file.is_file() else {}
    text = "Where the guide's encoder looks (Grad-CAM): warm colours raise the similarity of a patch to its pair."
    with known_shape(file, ModelError, GUIDE_ADVICE):
        names = [str(name) for name in report.get("pictures", [])]
    files = filter(None, (file_below(Path(path), name) for name in names))
    entries = {name: value for name, value in report.items() if name not in (VERSION, DIGEST)}
    pictures = [PictureFile(file, "Grad-CAM of the guide", text) for file in files]
    return {**entries, "name": f"{info.method} {info.digest[:8]}"}, pictures


def _settings(config: LeaderboardConfig, scored: Sequence[Scored]) -> list[tuple[str, str]]:
    runs = {
        f"{run.scores.name}, seed {run.scores.seed}": run.scores.model_dump(
            mode="json", include={"digests", "drawing", "parameters", "training_steps", "training_seconds"}
        )
        for run in scored
    }
    return [
        ("Settings of this page", json.dumps(config.model_dump(mode="json"), indent=2)),
        ("The generators", json.dumps(runs, indent=2)),
    ]


def _provenance(
    real: PatchSet, scored: Sequence[Scored], guide: Path | None, device: torch.device, started: float
) -> list[tuple[str, str]]:
    rows = [("Patch set", real.digest), ("Extractor", scored[0].scores.digests.extractor)]
    if guide is not None:
        rows.append(("Guide", read_model_info(guide, "guide").digest))
    return [
        *rows,
        ("histoforge", __version__),
        ("Python, PyTorch", f"{platform.python_version()}, {torch.__version__}"),
        ("Device of this page", str(device)),
        ("Time of this page", f"{time.monotonic() - started:.1f} s"),
    ]


def _write(findings: LeaderboardFindings, report: Path, metrics: Path, started: float) -> LeaderboardSummary:
    answer = leaderboard_answer(findings)
    write_json(metrics, leaderboard_results(findings, AnswerRecord(**vars(answer))).as_json())
    size = write_page(report, build_leaderboard_page(findings, answer))
    for text in (answer.headline, *answer.caveats):
        say(f"leaderboard: {text}")
    say(f"leaderboard: wrote {report} ({size / 1e6:.1f} MB)")
    spreads = {
        entry.name: {name: entry.spread(metric) for name, metric in METRICS.items()} for entry in findings.entries
    }
    return LeaderboardSummary(
        headline=answer.headline,
        answer=answer.lines,
        methods=[entry.name for entry in findings.entries],
        seeds={entry.name: len(entry.scores) for entry in findings.entries},
        means={
            method: {name: spread.mean for name, spread in by_metric.items() if spread.mean is not None}
            for method, by_metric in spreads.items()
        },
        deviations={
            method: {name: spread.std for name, spread in by_metric.items() if spread.std is not None}
            for method, by_metric in spreads.items()
        },
        test_patches=findings.test_patches,
        markdown=leaderboard_markdown(findings, answer),
        warnings=list(findings.warnings),
        seconds=round(time.monotonic() - started, 2),
    )
