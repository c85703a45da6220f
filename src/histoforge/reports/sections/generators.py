"""The section on all generators of a study with several folds or generators."""

from collections.abc import Sequence

from histoforge.evaluation.findings import Findings, GeneratorRow
from histoforge.evaluation.generator_rows import distances_of_sets
from histoforge.evaluation.spaces import DISTANCES
from histoforge.metrics.table import TWO_DECIMALS
from histoforge.reports.layout.blocks import Cell, Section, Table, cells
from histoforge.reports.sections.distances import order_tables
from histoforge.reports.text.formatting import MISSING, value_text


def generators_section(findings: Findings) -> Section:
    """Show a row for each generator; the section is empty if there is one."""
    table = Table(
        caption="All generators",
        columns=[
            "Generator",
            "Epoch kept",
            "Candidates",
            "Kept",
            "FID",
            "Told from real",
            "Tissue",
            "Copies of training patches",
        ],
        rows=[_row(row) for row in findings.generators],
        note="The sections on the generator, the selection and the audit show the first one in detail. Each is "
        "compared with the training patches of its own fold. The FID is that of the kept patches against those that "
        "the fold tests, in the features of the fold's own classifier, so that FIDs of different folds cannot be "
        "compared. Told from real: AUC of a small classifier that tells the kept patches from those that the fold "
        "tests; 0.5 is chance. Tissue: the share of kept patches that show tissue, of the class with the fewest.",
        stacked=True,
    )
    lead = "Do the other folds and generators tell the same story?"
    blocks = [table, *_orders(findings.generators)] if findings.generators else []
    return Section("generators", "All generators", lead, blocks)


def _orders(rows: Sequence[GeneratorRow]) -> list[Table]:
    """Show the distances of given sets in all spaces."""
    names = list(dict.fromkeys(row.name for row in rows if row.name))
    return order_tables({metric: distances_of_sets(rows, metric) for metric in DISTANCES}, names, rows[0].extractor)


def _row(row: GeneratorRow) -> list[Cell]:
    epochs = ", ".join(f"{name}: {epoch}" if name else str(epoch) for name, epoch in row.epochs.items())
    fid = MISSING if row.fid is None else value_text(row.fid, TWO_DECIMALS)
    numbers = cells(epochs or MISSING, f"{row.candidates:,}" if row.candidates else MISSING, f"{row.kept:,}", fid)
    realism = row.realism
    apart = realism.two_sample.auc if realism and realism.two_sample else None
    tissue = min((each.tissue for each in realism.classes), default=None) if realism else None
    looks = cells(value_text(apart, ".2f"), value_text(tissue, ".0%"))
    return [Cell(row.place.capitalize(), row.digest[:12]), *numbers, *looks, Cell(row.verdict or MISSING)]
