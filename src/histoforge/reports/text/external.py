"""The answer on an external test, in a few lines."""

from histoforge.core.text import counted
from histoforge.evaluation.findings import ExternalFindings
from histoforge.reports.text.study_answer import StudyAnswer, study_answer


def external_answer(external: ExternalFindings) -> StudyAnswer:
    """Return the answer on the external test."""
    return study_answer(external.study, external.patches, external.units[""])


def external_lines(external: ExternalFindings) -> list[str]:
    """Return the headline, which names the test and its size, the lines below it, and the warnings."""
    answer = external_answer(external)
    size = f"{counted(external.patches, 'patches')} of {counted(external.units[''], external.study.units)}"
    return [f"External test ({size}): {answer.headline}", *answer.lines, *external.warnings]
