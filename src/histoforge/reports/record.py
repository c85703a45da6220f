"""The findings as JSON (`metrics.json`), as flat numbers, and as Markdown."""

import math
from typing import Any

import numpy as np

from histoforge.core.documents import json_values
from histoforge.core.text import counted
from histoforge.evaluation.findings import SCORE_NAMES, TABLE_SCORES, ArmFindings, Findings
from histoforge.metrics.results import Effect
from histoforge.reports.sections.study import mean_confusion, score_text
from histoforge.reports.sections.synthetic import number
from histoforge.reports.text.study_answer import Answer, p_value, score_name

SCHEMA_VERSION = 1
FLAT_GENERATIVE = ("fid", "kid", "precision", "recall", "density", "coverage")


def as_record(found: Findings, answer: Answer) -> dict[str, Any]:
    """Return all findings as JSON values: finite numbers, text, or None where something is undefined.

    Keys: schema_version; answer (verdict, headline, lines, best, reference, score); warnings; classes; data (patches
    and units by split and class); arms (by name: factors, seeds, counts, scores, confusion, runs with all metrics of
    each seed, training); differences; patients; generative; memorisation; selection; generator; provenance.
    """
    study = found.study
    record = {
        "schema_version": SCHEMA_VERSION,
        "answer": {
            "verdict": answer.verdict,
            "headline": answer.headline,
            "lines": answer.lines,
            "best": answer.best,
            "reference": answer.reference,
            "score": study.score,
            "difference": answer.difference,
        },
        "warnings": list(found.warnings),
        "classes": found.classes,
        "data": {"patches": found.counts, "units": found.units, "unit": study.units},
        "arms": {arm.name: _arm(arm) for arm in study.arms},
        "differences": study.differences,
        "patients": study.patients,
        "generative": [
            {"synthetic": row.subset, "against": row.against, **row.metrics.model_dump()} for row in found.generative
        ],
        "memorisation": found.audit,
        "selection": _selection(found),
        "generator": _generator(found) if found.curves else None,
        "provenance": dict(found.provenance),
    }
    return dict(json_values(record))


def flat_metrics(found: Findings) -> dict[str, float]:
    """Return the numbers for Kubeflow's Metrics: finite, with flat names such as 'selective_accuracy'.

    Generative metrics (such as 'fid_selected_training') are those of the last classifier, which chose nothing if there
    is such a one, and never Inception's.
    """
    flat: dict[str, float | None] = {}
    for arm in found.study.arms:
        for name, score in arm.scores.items():
            flat[f"{arm.name}_{name}"] = score.mean
        difference = found.study.difference(arm.name, found.study.score)
        if difference is not None:
            flat[f"{arm.name}_gain"] = difference.over_patients.difference
            flat[f"{arm.name}_gain_low"] = difference.over_patients.low
            flat[f"{arm.name}_gain_high"] = difference.over_patients.high
    own = [row for row in found.generative if not row.metrics.extractor.startswith("Inception")]
    for row in own:
        if row.metrics.extractor == own[-1].metrics.extractor:
            place = f"{row.subset}_{row.against}".replace(" patches", "").replace(" ", "_").replace("-", "_")
            flat.update({f"{name}_{place}": getattr(row.metrics, name) for name in FLAT_GENERATIVE})
    if found.audit is not None:
        flat["memorisation_c_t"] = found.audit.c_t
        flat["memorisation_copies"] = float(len(found.audit.duplicates or []))
    return {name: float(value) for name, value in flat.items() if value is not None and math.isfinite(value)}


def as_markdown(found: Findings, answer: Answer) -> str:
    """Return the answer, the study table and the warnings."""
    study = found.study
    header = ["Arm", *(SCORE_NAMES[name] for name in TABLE_SCORES), f"Difference in {score_name(study.score)}"]
    rows = [[arm.title, *(score_text(arm, name) for name in TABLE_SCORES), _gain(found, arm)] for arm in study.arms]
    table = [header, ["---"] * len(header), *rows]
    lines = [f"## {answer.headline}", "", *(f"{line}\n" for line in answer.lines)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table]
    lines += ["", f"Mean ± standard deviation over {counted(max(len(a.seeds) for a in study.arms), 'seeds')}."]
    nearest = [row for row in found.generative if row.subset == "selected" and row.against.startswith("held-out")]
    lines += [
        f"\nSelected synthetic patches against held-out real ones, {row.metrics.extractor}: FID "
        f"{number(row.metrics.fid, 2)}, KID x 1000 "
        f"{number(None if row.metrics.kid is None else row.metrics.kid * 1000, 2)}."
        for row in nearest
    ]
    if found.audit is not None:
        lines.append(f"\n{found.audit.verdict}")
    if found.warnings:
        lines += ["", "**Read with care**", "", *(f"- {warning}" for warning in found.warnings)]
    return "\n".join(lines) + "\n"


def _arm(arm: ArmFindings) -> dict[str, Any]:
    return {
        "factors": arm.factors,
        "seeds": arm.seeds,
        "counts": arm.counts,
        "scores": arm.scores,
        "confusion": mean_confusion(arm),
        "runs": [{"seed": seed, **run.model_dump()} for seed, run in zip(arm.seeds, arm.runs, strict=True)],
        "training": arm.facts,
    }


def _generator(found: Findings) -> dict[str, Any]:
    chosen = found.chosen_epochs
    return {"chosen_epoch": chosen[""] if "" in chosen else dict(chosen) or None, "curves": dict(found.curves)}


def _selection(found: Findings) -> dict[str, Any] | None:
    pool = found.pool
    if pool is None:
        return None
    classes = {}
    for label, name in enumerate(found.classes):
        own = pool.labels == label
        kept = own & pool.kept
        classes[name] = {
            "candidates": int(own.sum()),
            "kept": int(kept.sum()),
            **{
                score: {"kept": _summary(v[kept]), "rejected": _summary(v[own & ~pool.kept])}
                for score, v in pool.scores.items()
            },
        }
    return {"rule": pool.rule, "classes": classes}


def _summary(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    return {"lowest": float(values.min()), "median": float(np.median(values)), "highest": float(values.max())}


def _gain(found: Findings, arm: ArmFindings) -> str:
    difference = found.study.difference(arm.name, found.study.score)
    if difference is None or difference.over_patients.difference is None:
        return "reference" if arm.name == found.study.reference else "-"
    effect: Effect = difference.over_patients
    between = "" if effect.low is None or effect.high is None else f" ({effect.low:+.3f} to {effect.high:+.3f})"
    p = f", {p_value(effect)}" if p_value(effect) else ""
    return f"{effect.difference:+.3f}{between}{p}"
