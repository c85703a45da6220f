"""Compare generators on one page that shows all their measurements, with deviations over seeds."""

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
from histoforge.evaluation.downstream import TestSplit, of_arms, of_baseline
from histoforge.evaluation.findings import PictureFile
from histoforge.evaluation.leaderboard_entries import Scored, build_entries, methods_map, open_scores, with_order
from histoforge.evaluation.leaderboard_findings import METRICS, LeaderboardFindings
from histoforge.patches import PatchSet
from histoforge.patches.matching import check_same_format
from histoforge.reports.layout.page import write_page
from histoforge.reports.leaderboard_page import build_leaderboard
from histoforge.reports.leaderboard_record import as_markdown, as_record
from histoforge.reports.text.leaderboard_answer import answer
from histoforge.steps.leaderboard_config import LeaderboardConfig, LeaderboardSummary
from histoforge.training.device import resolve_device
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
    said, pictures = _guide(guide, real)
    split = TestSplit(real, config, device) if arms or baseline else None
    downstream = of_arms(arms or (), scored, split) if split else {}
    reference = of_baseline(Path(baseline), split) if split and baseline else None
    notes = dict.fromkeys(f"{one.note}." for own in downstream.values() for one in own.values() if one.note)
    ordered = build_entries(scored, downstream)
    first = scored[0].scores
    found = LeaderboardFindings(
        title=config.heading or f"Which generator draws {' and '.join(real.classes)} best?",
        subtitle=_subtitle(real),
        classes=real.classes,
        entries=ordered,
        baseline=reference,
        judges=[first.judge],
        independent=first.independent,
        other_architecture=first.other_architecture,
        confidence=config.confidence,
        **_tested(split),
        map=with_order(methods_map(scored, config), ordered),
        guide=said,
        guide_pictures=pictures,
        warnings=[*warnings, *notes],
        settings=_settings(config, scored),
        provenance=_provenance(real, scored, guide, device, started),
    )
    return _write(found, Path(report), Path(metrics), started)


def _tested(split: TestSplit | None) -> dict[str, Any]:
    """Return a sentence about the data that classifiers were tested on."""
    if split is None:
        return {"units": "", "test_patches": 0, "test_units": 0}
    return {"units": split.units, "test_patches": len(split.patches), "test_units": split.n_units}


def _subtitle(real: PatchSet) -> str:
    size = dimensions(real.patch_size)
    mpp = f" at {real.info.mpp:.3g} um/px" if real.info.mpp else ""
    return f"histoforge leaderboard, {time.strftime('%Y-%m-%d')}: patches of {size} px{mpp}"


def _guide(path: Path | None, real: PatchSet) -> tuple[dict[str, Any] | None, list[PictureFile]]:
    """Return the guide's own report and its pictures.

    Raises:
        ModelError: if it is not a guide, or was trained on other patches.
    """
    if path is None:
        return None, []
    info = read_model_info(path, "guide")
    advice = "name the guide that these generators were trained with, or leave it out"
    check_same_format(f"The guide {path} was trained on", info, "the patch set", real, advice)
    file = Path(path) / GUIDE_REPORT
    said = read_sealed(file, GUIDE_SCHEMA, GUIDE_ADVICE) if file.is_file() else {}
    text = "Where the guide's encoder looks (Grad-CAM): warm colours raise the similarity of a patch to its pair."
    with known_shape(file, ModelError, GUIDE_ADVICE):
        names = [str(name) for name in said.get("pictures", [])]
    files = filter(None, (file_below(Path(path), name) for name in names))
    facts = {name: value for name, value in said.items() if name not in (VERSION, DIGEST)}
    pictures = [PictureFile(file, "Grad-CAM of the guide", text) for file in files]
    return {**facts, "name": f"{info.method} {info.digest[:8]}"}, pictures


def _settings(config: LeaderboardConfig, scored: Sequence[Scored]) -> list[tuple[str, str]]:
    runs = {
        f"{one.scores.name}, seed {one.scores.seed}": one.scores.model_dump(
            mode="json", include={"digests", "drawing", "parameters", "training_steps", "training_seconds"}
        )
        for one in scored
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


def _write(found: LeaderboardFindings, report: Path, metrics: Path, started: float) -> LeaderboardSummary:
    said = answer(found)
    write_json(metrics, as_record(found, said))
    size = write_page(report, build_leaderboard(found, said))
    say(f"leaderboard: {said.headline}")
    say(f"leaderboard: wrote {report} ({size / 1e6:.1f} MB)")
    spreads = {one.name: {key: metric.spread(one) for key, metric in METRICS.items()} for one in found.entries}
    return LeaderboardSummary(
        headline=said.headline,
        answer=said.lines,
        methods=[one.name for one in found.entries],
        seeds={one.name: len(one.scores) for one in found.entries},
        means={
            name: {key: spread.mean for key, spread in own.items() if spread.mean is not None}
            for name, own in spreads.items()
        },
        deviations={
            name: {key: spread.std for key, spread in own.items() if spread.std is not None}
            for name, own in spreads.items()
        },
        test_patches=found.test_patches,
        markdown=as_markdown(found, said),
        warnings=list(found.warnings),
        seconds=round(time.monotonic() - started, 2),
    )
