"""The sections on the data behind a page and on how to reproduce it."""

from collections.abc import Sequence

from histoforge.core.text import counted
from histoforge.evaluation.findings import Findings
from histoforge.reports.layout.blocks import Block, Cell, Details, Section, Table, cells


def data_section(findings: Findings) -> Section:
    """Count the real patches and patients by split and class."""
    noun = findings.study.units
    rows = []
    for split, counts in findings.counts.items():
        units = findings.units[split]
        by_class = [Cell(f"{counts.get(name, 0):,}", counted(units.get(name, 0), noun)) for name in findings.classes]
        rows.append([Cell(split), *by_class, Cell(f"{sum(counts.values()):,}", counted(units.get("", 0), noun))])
    folds = max(len(arm.folds) for arm in findings.study.arms)
    note = f" The test is that of all {folds} folds together; the other splits are those of the first fold." * bool(
        folds
    )
    table = Table(
        caption=f"Real patches and {noun} by split and class",
        columns=["Split", *findings.classes, "All"],
        rows=rows,
        note="Training, generator and selection use only the training split. The validation split chooses the epoch. "
        f"Only this evaluation reads the test split.{note}",
    )
    return Section("data", "Data", "What data was used for training, and what for testing?", [table])


def settings_section(provenance: Sequence[tuple[str, str]], settings: Sequence[tuple[str, str]]) -> Section:
    """Show digests, versions and settings."""
    table = Table(
        caption="Digests, versions and durations",
        columns=["Item", "Value"],
        rows=[cells(name, value) for name, value in provenance],
        textual=True,
    )
    blocks: list[Block] = [table] if provenance else []
    blocks += [Details(title, text) for title, text in settings]
    return Section("settings", "Settings, versions and digests", "Everything needed to reproduce this page.", blocks)
