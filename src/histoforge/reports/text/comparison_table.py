"""The table of all comparisons that an answer rests on, for the page and for Markdown."""

from collections.abc import Sequence

from histoforge.evaluation.study_findings import TABLE_SCORES, StudyFindings
from histoforge.metrics.crossed import CrossedEffect
from histoforge.reports.text.formatting import POINTS, better_text, p_value, score_name, value_text
from histoforge.reports.text.study_verdicts import VERDICTS, effect_verdict, overall, verdict_of

COLUMNS = (
    "Comparison",
    "Difference",
    "Interval",
    "p, corrected",
    "P(better)",
    "Found with 80% power",
    "Generators",
    "Seeds",
    "Patients",
    "Verdict",
)
NOTE = (
    "One analysis over patients and training runs per row. p: after the correction over all rows. P(better): "
    "probability that the true difference is above zero, taken alone. Found with 80% power: the smallest true "
    "difference that this study finds that often after the correction."
)


def shown_scores(study: StudyFindings) -> Sequence[str]:
    """Return the scores of the main table, first the one that decides."""
    return list(dict.fromkeys([study.score, *TABLE_SCORES]))


def comparison_caption(study: StudyFindings) -> str:
    """Return the title of the table."""
    unit = ", percentage points" if study.score in POINTS else ""
    return f"All comparisons in {score_name(study.score)}{unit}"


def comparison_rows(study: StudyFindings) -> list[list[str]]:
    """Return one row per comparison: arms with their reference, and with the closest of all arms without synthetic."""
    rows = []
    for difference in (each for each in study.differences if each.score == study.score):
        effect = overall(difference)
        name = f"{study.title(difference.arm)} - {study.title(difference.against)}"
        rows.append(_row(study, name, effect, VERDICTS[verdict_of(study, difference)]))
        against_all = study.beaten(difference.arm, study.score)
        if against_all is None or difference.against != study.reference_of(study.arm(difference.arm)):
            continue
        closest = study.title(against_all.closest)
        name = f"{study.title(difference.arm)} - every arm without synthetic patches (closest: {closest})"
        claim = verdict_of(study, difference)
        better = claim == "better" and effect_verdict(against_all.effect) == "better"
        kept = claim in ("too_few", "not_learned")
        verdict = VERDICTS[claim] if kept else "better than all" if better else "not shown to be better than all"
        rows.append(_row(study, name, against_all.effect, verdict))
    return rows


def _row(study: StudyFindings, name: str, effect: CrossedEffect, verdict: str) -> list[str]:
    low, high = (_size(study.score, bound, "+") for bound in (effect.low, effect.high))
    return [
        name,
        _size(study.score, effect.difference, "+"),
        f"{low} to {high}" if effect.low is not None and effect.high is not None else effect.note or "-",
        p_value(effect).removeprefix("p = ").removeprefix("p ") or "-",
        better_text(effect) or "-",
        _size(study.score, effect.detectable),
        str(effect.generators or "-"),
        str(effect.runs // max(effect.generators, 1)),
        str(effect.patients),
        verdict,
    ]


def _size(score: str, value: float | None, sign: str = "") -> str:
    """Format a difference in percentage points, or in the score's own unit."""
    points = score in POINTS
    scaled = None if value is None else value * (100 if points else 1)
    return value_text(scaled, f"{sign}.{1 if points else 3}f", "-")
