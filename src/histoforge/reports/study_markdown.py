"""The evaluation's answer, study table and warnings as Markdown."""

from histoforge.core.text import counted
from histoforge.evaluation.findings import SCORE_NAMES, TABLE_SCORES, ArmFindings, Findings
from histoforge.metrics.results import Effect
from histoforge.reports.sections.study import score_text
from histoforge.reports.sections.synthetic import number
from histoforge.reports.text.study_answer import Answer, p_value, score_name


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


def _gain(found: Findings, arm: ArmFindings) -> str:
    difference = found.study.difference(arm.name, found.study.score)
    if difference is None or difference.over_patients.difference is None:
        return "reference" if arm.name == found.study.reference else "-"
    effect: Effect = difference.over_patients
    between = "" if effect.low is None or effect.high is None else f" ({effect.low:+.3f} to {effect.high:+.3f})"
    p = f", {p_value(effect)}" if p_value(effect) else ""
    return f"{effect.difference:+.3f}{between}{p}"
