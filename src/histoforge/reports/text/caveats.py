"""The caveats of a study's answer: what a reader must know before trusting the headline.

A caveat stands in the box of the headline, on the page, in Markdown and on the console. Warnings about details belong
into `Findings.warnings` instead, which the page shows below that box.
"""

from histoforge.core.text import join_words
from histoforge.evaluation.findings import Findings
from histoforge.evaluation.study_findings import StudyFindings
from histoforge.reports.text.realism import realism_caveats


def study_caveats(findings: Findings) -> list[str]:
    """Return the caveats of a study, one short sentence each, the most serious first."""
    return [*findings.caveats, *_below_majority(findings.study), *realism_caveats(findings.realism)]


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
