"""The caveats of a study's answer: what a reader must know before trusting the headline.

A caveat stands in the box of the headline, on the page, in Markdown and on the console. Warnings about details belong
into `Findings.warnings` instead, which the page shows below that box.
"""

from histoforge.evaluation.findings import Findings


def study_caveats(findings: Findings) -> list[str]:
    """Return the caveats of a study, one short sentence each, the most serious first."""
    return [*findings.caveats]
