"""The answers and their tables as Markdown, for Kubeflow."""

from collections.abc import Sequence

from histoforge.evaluation.findings import Findings, GenerativeRow
from histoforge.evaluation.leaderboard_findings import LeaderboardFindings
from histoforge.evaluation.study_findings import SCORE_NAMES, ArmFindings, StudyFindings
from histoforge.reports.text.answer import Answer
from histoforge.reports.text.comparison_table import (
    COLUMNS,
    NOTE,
    comparison_caption,
    comparison_rows,
    shown_scores,
)
from histoforge.reports.text.formatting import (
    large_text,
    score_text,
    spread_text,
    value_text,
)
from histoforge.reports.text.learning import kept_epochs
from histoforge.reports.text.realism import precision_text, two_sample_text


def study_markdown(findings: Findings, answer: Answer) -> str:
    """Return the answer, the study table, the distances of selected patches, the audit's verdict, and the warnings."""
    study = findings.study
    comparisons = comparison_rows(study)
    tables = [_arms_table(study)]
    if comparisons:
        tables.append([COLUMNS, *comparisons])
    if findings.external is not None:
        (first, *columns), *rows = _arms_table(findings.external.study)
        tables.append([[f"External test: {first}", *columns], *rows])
    notes = [f"Mean ± standard deviation over {max(study.arms, key=lambda arm: len(arm.seeds)).size}."]
    notes += [f"{comparison_caption(study)}. {NOTE}"] if comparisons else []
    notes += _distance_notes(findings.generative)
    if findings.realism is not None:
        notes.append(two_sample_text(findings.realism))
    if findings.audit is not None:
        notes.append(findings.audit.verdict)
    return _markdown(answer, tables, notes, findings.warnings)


def leaderboard_markdown(findings: LeaderboardFindings, answer: Answer) -> str:
    """Return the answer, the leaderboard and the warnings."""
    metrics = findings.main_metrics
    header = ["Method", "Seeds", *(metric.title for metric in metrics)]
    rows = [
        [entry.name, str(len(entry.scores)), *(spread_text(entry.spread(metric), metric.format) for metric in metrics)]
        for entry in findings.entries
    ]
    note = f"Mean ± standard deviation over seeds; features of {', '.join(findings.judges)}."
    return _markdown(answer, [[header, *rows]], [note], findings.warnings)


def _markdown(
    answer: Answer, tables: Sequence[Sequence[Sequence[str]]], notes: Sequence[str], warnings: Sequence[str]
) -> str:
    lines = [f"## {answer.headline}", "", *(f"{line}\n" for line in answer.lines)]
    lines += [*(f"- **{caveat}**" for caveat in answer.caveats), *([""] if answer.caveats else [])]
    for table in tables:
        rows = [table[0], ["---"] * len(table[0]), *table[1:]]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        lines += [""] if table is not tables[-1] else []
    lines += [f"\n{note}" for note in notes]
    if warnings:
        lines += ["", "**Read with care**", "", *(f"- {warning}" for warning in warnings)]
    return "\n".join(lines) + "\n"


def _distance_notes(rows: Sequence[GenerativeRow]) -> list[str]:
    """Describe the distance of selected patches from held-out ones, and their precision beside that of real patches."""
    notes = []
    for row in rows:
        if row.subset == "selected" and row.against.startswith("held-out"):
            of_extractor = [each for each in rows if each.metrics.extractor == row.metrics.extractor]
            notes.append(" ".join(filter(None, (_distance_note(row), precision_text(of_extractor)))))
    return notes


def _distance_note(row: GenerativeRow) -> str:
    metrics = row.metrics
    kid = None if metrics.kid is None else metrics.kid * 1000
    return (
        f"Selected synthetic patches against held-out real ones, {metrics.extractor}: FID "
        f"{large_text(metrics.fid, 2)}, KID x 1000 {large_text(kid, 2)}."
    )


def _arms_table(study: StudyFindings) -> list[Sequence[str]]:
    scores = shown_scores(study)
    header = ["Arm", *(SCORE_NAMES[name] for name in scores), "Learned", "Epochs kept"]
    rows = [
        [
            arm.title,
            *(score_text(arm.scores[name]) for name in scores),
            _learned(study, arm),
            kept_epochs(arm) or "-",
        ]
        for arm in study.arms
    ]
    if study.constant is not None:
        values = (value_text(study.constant.scores.get(name), missing="") for name in scores)
        rows.append([f"always '{study.constant.class_name}'", *values, "", ""])
    return [header, *rows]


def _learned(study: StudyFindings, arm: ArmFindings) -> str:
    return {True: "yes", False: "not shown", None: "-"}[study.learned(arm.name)]
