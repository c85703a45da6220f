"""The answers and their tables as Markdown, for Kubeflow."""

from collections.abc import Sequence

from histoforge.core.text import counted
from histoforge.evaluation.findings import Findings, GenerativeRow
from histoforge.evaluation.leaderboard_findings import LeaderboardFindings
from histoforge.evaluation.study_findings import SCORE_NAMES, TABLE_SCORES, ArmFindings
from histoforge.reports.text.answer import Answer
from histoforge.reports.text.formatting import (
    large_text,
    p_value,
    score_name,
    score_text,
    spread_text,
)


def study_markdown(findings: Findings, answer: Answer) -> str:
    """Return the answer, the study table, the distances of selected patches, the audit's verdict, and the warnings."""
    study = findings.study
    header = ["Arm", *(SCORE_NAMES[name] for name in TABLE_SCORES), f"Difference in {score_name(study.score)}"]
    rows = [
        [arm.title, *(score_text(arm.scores[name]) for name in TABLE_SCORES), _gain(findings, arm)]
        for arm in study.arms
    ]
    notes = [f"Mean ± standard deviation over {counted(max(len(arm.seeds) for arm in study.arms), 'seeds')}."]
    notes += [
        _distance_note(row)
        for row in findings.generative
        if row.subset == "selected" and row.against.startswith("held-out")
    ]
    if findings.audit is not None:
        notes.append(findings.audit.verdict)
    return _markdown(answer, [header, *rows], notes, findings.warnings)


def leaderboard_markdown(findings: LeaderboardFindings, answer: Answer) -> str:
    """Return the answer, the leaderboard and the warnings."""
    metrics = findings.main_metrics
    header = ["Method", "Seeds", *(metric.title for metric in metrics)]
    rows = [
        [entry.name, str(len(entry.scores)), *(spread_text(entry.spread(metric), metric.format) for metric in metrics)]
        for entry in findings.entries
    ]
    note = f"Mean ± standard deviation over seeds; features of {', '.join(findings.judges)}."
    return _markdown(answer, [header, *rows], [note], findings.warnings)


def _markdown(answer: Answer, table: Sequence[Sequence[str]], notes: Sequence[str], warnings: Sequence[str]) -> str:
    rows = [table[0], ["---"] * len(table[0]), *table[1:]]
    lines = [f"## {answer.headline}", "", *(f"{line}\n" for line in answer.lines)]
    lines += [*(f"- **{caveat}**" for caveat in answer.caveats), *([""] if answer.caveats else [])]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines += [f"\n{note}" for note in notes]
    if warnings:
        lines += ["", "**Read with care**", "", *(f"- {warning}" for warning in warnings)]
    return "\n".join(lines) + "\n"


def _distance_note(row: GenerativeRow) -> str:
    metrics = row.metrics
    kid = None if metrics.kid is None else metrics.kid * 1000
    return (
        f"Selected synthetic patches against held-out real ones, {metrics.extractor}: FID "
        f"{large_text(metrics.fid, 2)}, KID x 1000 {large_text(kid, 2)}."
    )


def _gain(findings: Findings, arm: ArmFindings) -> str:
    difference = findings.study.difference(arm.name, findings.study.score)
    effect = difference.overall if difference else None
    if effect is None or effect.difference is None:
        return "reference" if arm.name == findings.study.reference else "-"
    interval = "" if effect.low is None or effect.high is None else f" ({effect.low:+.3f} to {effect.high:+.3f})"
    return f"{effect.difference:+.3f}{interval}" + (f", {p}" if (p := p_value(effect)) else "")
