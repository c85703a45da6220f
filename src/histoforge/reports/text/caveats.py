"""The caveats of a study's answer: what a reader must know before trusting the headline.

A caveat stands in the box of the headline, on the page, in Markdown and on the console. Warnings about details belong
into `Findings.warnings` instead, which the page shows below that box.
"""

from collections.abc import Sequence

from histoforge.core.text import join_words
from histoforge.evaluation.findings import Findings, GeneratorRow
from histoforge.evaluation.study_findings import StudyFindings
from histoforge.reports.text.realism import generator_caveats, realism_caveats


def study_caveats(findings: Findings) -> list[str]:
    """Return the caveats of a study, one short sentence each, the most serious first."""
    return [
        *findings.caveats,
        *_below_majority(findings.study),
        *realism_caveats(findings.realism),
        *_of_other_generators(findings.generators),
    ]


def _of_other_generators(rows: Sequence[GeneratorRow]) -> list[str]:
    """Name what is wrong with the patches of generators other than the first, which the report shows in detail."""
    return generator_caveats([(f"that of {row.place}", row.realism) for row in rows[1:] if row.realism is not None])


def _below_majority(study: StudyFindings) -> list[str]:
    """Name the arms that classify no more test patches correctly than the most frequent class has."""
    rate = study.constant.scores["accuracy"] if study.constant else None
    if study.constant is None or rate is None:
        return []
    below = [
        f"{arm.title} ({mean:.3f})"
        for arm in study.arms
        if study.learned(arm.name) is not False and (mean := arm.scores["accuracy"].mean) is not None and mean <= rate
    ]
    if not below:
        return []
    return [
        f"Always answering '{study.constant.class_name}' would classify at least as many test patches correctly "
        f"({rate:.3f}) as {join_words(below)}."
    ]
