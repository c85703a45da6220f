"""The sections on memorisation: whether synthetic patches are copies of training patches."""

from collections.abc import Sequence

from histoforge.core.text import counted
from histoforge.evaluation.copies import CopyPair
from histoforge.evaluation.findings import Pair
from histoforge.evaluation.leaderboard_findings import LeaderboardFindings, Spread
from histoforge.metrics.copying import CopyingByCell, CopyingCell
from histoforge.metrics.memorisation import MemorisationAudit
from histoforge.metrics.registered_copies import RegisteredCopies
from histoforge.metrics.table import THREE_DECIMALS
from histoforge.reports.layout.blocks import Block, Cell, Gallery, Section, Table, Text, cells
from histoforge.reports.layout.pictures import thumbnail
from histoforge.reports.text.formatting import MISSING, large_text, spread_text

ID, TITLE, LEAD = "memorisation", "Memorisation", "Are synthetic patches copies of training patches?"
COPYING_COLUMNS = ("Synthetic", "Training", "Held out", "Nearer than held out", "C_T", "p")
LISTED = 10
COPYING_NOTE = (
    "A generator may be near to its training patches in one region of the feature space only, which a test over the "
    "whole space can miss. The p-values are those after Holm's correction."
)


def audit_section(audit: MemorisationAudit | None, pairs: Sequence[Pair], copies: Sequence[CopyPair] = ()) -> Section:
    """Show the audit of one generator, the pairs taken for copies, cells and classes, and the closest pairs."""
    if audit is None:
        return Section(ID, TITLE, "", [])
    blocks: list[Block] = [Text(list(filter(None, (audit.verdict, audit.nearer_verdict)))), _audit_table(audit)]
    if copies:
        blocks.append(copies_gallery(copies))
    if audit.cells is not None:
        title = "Nearness within cells of the feature space (k-means of the training patches)"
        blocks.append(_copying_table(title, "Cell", "cells", audit.cells))
    if audit.by_class is not None:
        blocks.append(_copying_table("Nearness within classes", "Class", "classes", audit.by_class))
    if pairs:
        blocks.append(_pairs_gallery(pairs))
    return Section(ID, TITLE, LEAD, blocks)


def audits_section(findings: LeaderboardFindings) -> Section:
    """Summarise the audits of each method over its seeds."""
    rows = []
    for entry in findings.entries:
        audits = [scores.memorisation for scores in entry.scores if scores.memorisation is not None]
        if not audits:
            continue
        duplicates = sum(len(audit.duplicates or []) for audit in audits)
        copied = sum(audit.copied for audit in audits)
        nearer = Spread.of(dict(enumerate(audit.nearer_than_held_out for audit in audits)))
        authenticity = Spread.of(dict(enumerate(audit.authenticity for audit in audits)))
        shares = (spread_text(nearer, THREE_DECIMALS), spread_text(authenticity, THREE_DECIMALS))
        verdict = Cell(f"{copied} of {len(audits)}", tone="bad" if copied else "")
        rows.append(cells(entry.name, f"{duplicates:,}", *shares, verdict))
    table = Table(
        caption="Memorisation audit, mean ± standard deviation over seeds",
        columns=["Method", "Exact copies", "Nearer than held out", "Authenticity", "Generators that copied"],
        rows=rows,
        note="Nearer than held out: probability that a synthetic patch is nearer to the training patches than a real "
        "validation patch is; values well above 0.5 indicate copying, or patients who differ (Meehan et al. 2020). "
        "Authenticity: share of synthetic patches that are not near copies (Alaa et al. 2022).",
    )
    return Section(ID, TITLE, LEAD, [table] if rows else [])


def _audit_table(audit: MemorisationAudit) -> Table:
    rows = [
        (
            "Patches compared",
            f"{audit.n_synthetic:,} synthetic, {audit.n_training:,} training, {audit.n_held_out:,} held out",
        ),
        (
            "Exact copies of training patches",
            "not checked" if audit.duplicates is None else f"{len(audit.duplicates):,}",
        ),
        *_registered_rows(audit.registered),
        (
            "Nearer to a training patch than to a held-out one",
            f"{audit.closer_to_training:.1%} (50% if the patients of both are alike)",
        ),
        (
            "Nearer to training patches than a held-out patch is",
            f"{audit.nearer_than_held_out:.1%} of pairs (values above 50%: copies, or patients who differ)",
        ),
        (
            "C_T (Meehan et al. 2020)",
            f"{audit.c_t:+.2f}, one-sided p = {audit.p:.2g} (values far below 0: copies, or patients who differ)",
        ),
        ("Authenticity (Alaa et al. 2022)", f"{audit.authenticity:.1%} of synthetic patches are not near copies"),
    ]
    return Table(
        "Memorisation audit",
        ["Measure", "Result"],
        [cells(*row) for row in rows],
        note=f"Features: {audit.extractor}.",
        textual=True,
    )


def _registered_rows(registered: RegisteredCopies | None) -> list[tuple[str, str]]:
    if registered is None:
        return []
    flagged = f"{len(registered.flagged):,} of {registered.n_with_detail:,} with a correlation above "
    reference = f"{registered.reference_flagged:,} of {registered.n_reference:,} training patches with another one"
    if registered.reference_pairs is not None:
        reference += f" ({counted(registered.reference_pairs, 'pairs')})"
    pairs = [f"{pair.synthetic} and {pair.training} ({pair.correlation:.2f})" for pair in registered.flagged[:LISTED]]
    return [
        (
            "Same structure as a training patch (flips, rotations, shifts)",
            f"{flagged}{registered.threshold:.2f}; {reference}; p = {registered.p:.2g}",
        ),
        ("Left out for lack of detail", f"{registered.n_without_detail:,} of {registered.n_compared:,}"),
        ("Pairs with the same structure (synthetic row and training row)", ", ".join(pairs) or "none"),
    ]


def _copying_table(title: str, column: str, plural: str, by_cell: CopyingByCell) -> Table:
    mean = "" if by_cell.c_t is None else f" Weighted mean C_T {by_cell.c_t:+.2f}, one-sided p = {by_cell.p:.2g}."
    note = (
        f"{COPYING_NOTE} {by_cell.compared:.0%} of the held-out patches lie in {plural} with enough patches to compare."
        f"{mean}"
    )
    rows = [_copying_row(cell, cell.name in by_cell.copied) for cell in by_cell.cells]
    return Table(title, [column, *COPYING_COLUMNS], rows, note)


def _copying_row(cell: CopyingCell, copied: bool) -> list[Cell]:
    counts = (f"{count:,}" for count in (cell.n_synthetic, cell.n_training, cell.n_held_out))
    if cell.p is None or cell.nearer is None:
        return cells(cell.name, *counts, "too few", MISSING, MISSING)
    p = Cell(f"{cell.p:.2g}", "nearer to training" if copied else "", "bad" if copied else "")
    return cells(cell.name, *counts, f"{cell.nearer:.1%}", large_text(cell.z, 2), p)


def copies_gallery(copies: Sequence[CopyPair]) -> Gallery:
    """Show the pairs that were taken for copies, with the reasons."""
    rows = [
        (
            f"{number}. {copy.class_name}: {copy.reason}",
            [
                thumbnail(copy.synthetic, f"synthetic {copy.class_name} patch of copy {number}", "synthetic"),
                thumbnail(copy.turned, f"the same patch, turned like the training patch {number}", "synthetic, turned"),
                thumbnail(copy.training, f"training patch of copy {number}", "training"),
            ],
        )
        for number, copy in enumerate(copies, start=1)
    ]
    caption = (
        "Synthetic patches with the pixels or the structure of a training patch. A few pairs are no evidence: real "
        "patches too may show the same tissue twice. The table says how many pairs of training patches do."
    )
    return Gallery(caption, rows, paired=True)


def _pairs_gallery(pairs: Sequence[Pair]) -> Gallery:
    rows = []
    for number, pair in enumerate(pairs, start=1):
        training, held_out = f"{pair.distance:.3g}", f"{pair.held_out_distance:.3g}"
        thumbnails = [
            thumbnail(pair.synthetic, f"synthetic {pair.class_name} patch of pair {number}", "synthetic"),
            thumbnail(pair.training, f"nearest training patch of pair {number}", f"training, distance {training}"),
            thumbnail(pair.held_out, f"nearest held-out patch of pair {number}", f"held out, distance {held_out}"),
        ]
        rows.append((f"{number}. {pair.class_name}", thumbnails))
    caption = (
        "The synthetic patches nearest to a training patch. A copy shows the same nuclei in the same positions; a "
        "patch that is merely similar does not. Distances in the extractor's features."
    )
    return Gallery(caption, rows, paired=True)
