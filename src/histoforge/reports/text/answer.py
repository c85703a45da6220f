"""The answer at the top of a page."""

from dataclasses import dataclass

from histoforge.evaluation.study_findings import Verdict


@dataclass(frozen=True)
class Answer:
    """The first lines of a page.

    Attributes:
        headline: the answer in one sentence.
        lines: the sentences below the headline.
    """

    verdict: Verdict
    headline: str
    lines: list[str]
