"""The section of a study on the results on an external test source."""

from dataclasses import replace

from histoforge.evaluation.findings import ExternalFindings
from histoforge.reports.layout.blocks import Block, Section, Table, Text
from histoforge.reports.sections.study import arms_section
from histoforge.reports.text.external import external_lines

LEAD = "Does the result hold for patients of another source?"


def external_section(external: ExternalFindings | None) -> Section:
    """Compare the arms on the external source."""
    if external is None:
        return Section("external", "External test", LEAD, [])
    classes = ", ".join(f"{count:,} {name}" for name, count in external.counts.items())
    origin = f"Source: {external.source}, {classes}. It was never split, and nothing was chosen on it."
    return Section(
        "external", "External test", LEAD, [Text([*external_lines(external), origin]), *_comparison(external)]
    )


def _comparison(external: ExternalFindings) -> list[Block]:
    caption = "Classification of the external test: mean ± standard deviation over seeds"
    return [
        replace(block, caption=caption) if isinstance(block, Table) else block
        for block in arms_section(external.study).blocks
    ]
