"""The answer at the top of a page."""

from dataclasses import dataclass, field

from histoforge.evaluation.study_findings import Verdict


@dataclass(frozen=True)
class Answer:
    """The first lines of a page.

    Attributes:
        headline: the answer in one sentence.
        lines: the sentences below the headline.
        caveats: what lessens the answer's worth, one short sentence each, shown in the same box (see `text.caveats`).
    """

    verdict: Verdict
    headline: str
    lines: list[str]
    caveats: list[str] = field(default_factory=list, kw_only=True)
