"""The sections on the synthetic patches, their selection, and the generator behind them."""

from collections.abc import Sequence

import numpy as np

from histoforge.evaluation.findings import Findings, Pair, PictureFile, PoolFindings
from histoforge.metrics.copying import CopyingByCell, CopyingCell
from histoforge.metrics.generative import GenerativeMetrics
from histoforge.metrics.memorisation import MemorisationAudit
from histoforge.reports.layout.blocks import (
    Block,
    Cell,
    Figure,
    Figures,
    Gallery,
    Section,
    Table,
    Text,
    Thumbnail,
    cells,
)
from histoforge.reports.layout.pictures import picture, thumbnail
from histoforge.reports.plots import synthetic as plots

GROUP_NAMES = {
    "real": "real training patches",
    "synthetic": "synthetic patches, not selected",
    "selected": "synthetic patches, selected",
    "rejected": "synthetic patches, rejected",
}
SLIDE_COLOURS = ("blue", "red-orange", "green", "pink", "orange", "light blue", "olive")
"""Names of `slides.pictures.CLASS_COLOURS`."""
COLUMNS = ("fid", "kid", "precision", "recall", "density", "coverage")
COLUMN_NAMES = ("FID", "KID x 1000", "Precision", "Recall", "Density", "Coverage")


def patches_section(found: Findings) -> Section:
    """Show real, synthetic, selected and rejected patches by class."""
    galleries = [
        Gallery(
            caption=f"Class {name}. Patches drawn at random from each group; selected and rejected ones with their "
            "scores.",
            rows=[
                (
                    f"{name}: {GROUP_NAMES[group]}",
                    [_thumb(p.image, f"{name}, {GROUP_NAMES[group]}", p.text) for p in patches],
                )
                for group, patches in groups.items()
                if patches
            ],
        )
        for name, groups in found.samples.items()
        if any(groups.values())
    ]
    synthetic = any(groups.get("synthetic") or groups.get("selected") for groups in found.samples.values())
    lead = (
        "Would a pathologist take the synthetic patches for their class, and does selection keep the better ones?"
        if synthetic
        else "What the classes look like."
    )
    return Section("patches", "Patches by class", lead, galleries)


def selection_section(found: Findings) -> Section:
    """Show what the selection kept: counts, scores with cut-offs, and maps before and after."""
    pool = found.pool
    blocks: list[Block] = []
    if pool is not None:
        blocks += [_counts_table(pool, found.classes), Figures(plots.score_figures(pool, found.classes))]
    if found.projection is not None:
        blocks.append(Figures(plots.projection_figures(found.projection, found.classes)))
        blocks.append(
            Text([f"Features for the maps: {found.projection.extractor}, real patches from the training split."])
        )
    lead = f"Which candidates were kept, and why? Rule: {pool.rule}." if pool else ""
    return Section("selection", "Selection", lead, blocks)


def generator_section(found: Findings) -> Section:
    """Show the generator's training, its pictures, and the distance of its patches to real ones."""
    drawn = []
    for name in _trained_apart(found):
        prefix = f"{name}: " if name else ""
        curves = {key.removeprefix(prefix): curve for key, curve in found.curves.items() if key.startswith(prefix)}
        figures = (
            plots.fid_figure(curves, found.chosen_epochs.get(name), name),
            plots.losses_figure(curves, name),
            plots.balance_figure(curves, name),
        )
        drawn += [figure for figure in figures if figure is not None]
    blocks: list[Block] = [Figures(drawn)] if drawn else []
    if found.pictures:
        blocks.append(Figures([_picture(one, 720) for one in found.pictures], wide=True))
    if found.generative:
        blocks += _generative_tables(found)
    lead = "Did the generator learn, and how near are its patches to real ones?"
    return Section("generator", "The generator", lead, blocks)


def _trained_apart(found: Findings) -> list[str]:
    """Return the classes that have their own network, or [''] if one network serves all classes."""
    names = [name for name in found.classes if any(key.startswith(f"{name}: ") for key in found.curves)]
    return names or [""]


def memorisation_section(found: Findings) -> Section:
    """Show whether the generator copied its training patches."""
    audit = found.audit
    if audit is None:
        return Section("memorisation", "Memorisation", "", [])
    duplicates = "not looked for" if audit.duplicates is None else f"{len(audit.duplicates):,}"
    rows = [
        (
            "Patches compared",
            f"{audit.n_synthetic:,} synthetic, {audit.n_training:,} training, {audit.n_held_out:,} held out",
        ),
        ("Exact copies of training patches", duplicates),
        (
            "Nearer to a training patch than to a held-out one",
            f"{audit.closer_to_training:.1%} (50% where both kinds of patients are alike)",
        ),
        (
            "Nearer to training than a held-out patch is",
            f"{audit.nearer_than_held_out:.1%} of pairs (above 50% speaks of copying)",
        ),
        ("C_T (Meehan et al. 2020)", f"{audit.c_t:+.2f}, one-sided p = {audit.p:.2g} (far below 0 speaks of copying)"),
        ("Authenticity (Alaa et al. 2022)", f"{audit.authenticity:.1%} of synthetic patches are no near copies"),
    ]
    table = Table(
        "Memorisation audit",
        ["Question", "Finding"],
        [cells(*row) for row in rows],
        note=f"Features: {audit.extractor}.",
        words=True,
    )
    blocks: list[Block] = [Text([audit.verdict]), table, *_copying_tables(audit)]
    if found.pairs:
        blocks.append(_pairs_gallery(found.pairs))
    return Section("memorisation", "Memorisation", "Are synthetic patches copies of training patches?", blocks)


def _copying_tables(audit: MemorisationAudit) -> list[Table]:
    """Return tables of the same test within cells and within classes."""
    parts = {"parts of the feature space (k-means of the training patches)": audit.cells, "classes": audit.by_class}
    return [_copying_table(title, by_cell) for title, by_cell in parts.items() if by_cell is not None]


def _copying_table(title: str, by_cell: CopyingByCell) -> Table:
    mean = "" if by_cell.c_t is None else f" Weighted mean C_T {by_cell.c_t:+.2f}, one-sided p = {by_cell.p:.2g}."
    note = (
        "A generator can copy in one part and stray in another, which a test of the whole does not see. p after Holm's "
        f"correction. {by_cell.compared:.0%} of the held-out patches lie in parts with enough of them to compare.{mean}"
    )
    columns = ["Part", "Synthetic", "Training", "Held out", "Nearer than held out", "C_T", "p"]
    rows = [_copying_row(cell, cell.name in by_cell.copied) for cell in by_cell.cells]
    return Table(f"Copying within {title}", columns, rows, note)


def _copying_row(cell: CopyingCell, copied: bool) -> list[Cell]:
    counts = (f"{count:,}" for count in (cell.n_synthetic, cell.n_training, cell.n_held_out))
    if cell.p is None or cell.nearer is None:
        return cells(cell.name, *counts, "too few", "n/a", "n/a")
    p = Cell(f"{cell.p:.2g}", "speaks of copying" if copied else "", "bad" if copied else "")
    return cells(cell.name, *counts, f"{cell.nearer:.1%}", number(cell.z, 2), p)


def slides_section(found: Findings) -> Section:
    """Show slides with tissue, grid and regions, as preprocess drew them."""
    figures = [_picture(slide, 640) for slide in found.slides]
    named = ", ".join(f"{name} {SLIDE_COLOURS[i % len(SLIDE_COLOURS)]}" for i, name in enumerate(found.classes))
    lead = (
        f"Where do the patches come from? Black outline: tissue. Frames: patches. Coloured outlines: regions ({named})."
    )
    return Section("slides", "Slides and their grids", lead, [Figures(figures)] if figures else [])


def number(value: float | None, digits: int = 3) -> str:
    """Format a number for a table, or return 'n/a'."""
    return "n/a" if value is None else f"{value:,.{0 if abs(value) >= 1000 else digits}f}"


def _generative_tables(found: Findings) -> list[Block]:
    extractors = list(dict.fromkeys(row.metrics.extractor for row in found.generative))
    tables: list[Block] = []
    for extractor in extractors:
        rows = [row for row in found.generative if row.metrics.extractor == extractor]
        fewest = min(rows, key=lambda row: min(row.metrics.n_fake, row.metrics.n_real))
        tables.append(
            Table(
                caption=f"Distance of synthetic to real patches, features of {extractor}",
                columns=["Patches", "Number", *COLUMN_NAMES],
                rows=[[Cell(row.subset, f"against {row.against}"), *_generative_cells(row.metrics)] for row in rows],
                note=fewest.metrics.note,
            )
        )
    words = (
        "FID and KID: lower is nearer. Precision: share of synthetic patches that look real; recall and coverage: "
        "share of the real variety that is reached; density: how crowded the synthetic ones lie among real ones. "
        "Selection chooses with the first extractor, so that one is biased in favour of selected patches: believe the "
        "last of the classifiers. A second seed is the same network trained on the same patches and shares much of the "
        "first one's view; another architecture (train_classifier's judge_backbone) shares less. Real patches against "
        "real ones of other patients show how low a distance can get here."
    )
    return [*tables, Text([words])]


def _generative_cells(metrics: GenerativeMetrics) -> list[Cell]:
    values = {name: getattr(metrics, name) for name in COLUMNS}
    if values["kid"] is not None:
        values["kid"] *= 1000
    counts = Cell(f"{metrics.n_fake:,}", f"against {metrics.n_real:,}")
    return [counts, *(Cell(number(values[name], 2 if name in ("fid", "kid") else 3)) for name in COLUMNS)]


def _counts_table(pool: PoolFindings, classes: Sequence[str]) -> Table:
    rows = []
    for label, name in enumerate(classes):
        own = pool.labels == label
        kept = own & pool.kept
        scores = [_range(values[kept]) for values in pool.scores.values()]
        rows.append(cells(name, f"{int(own.sum()):,}", f"{int(kept.sum()):,}", *scores))
    names = [f"{plots.SCORE_LABELS.get(name, (name.replace('_', ' '), ''))[0]}, kept" for name in pool.scores]
    return Table(
        "Candidates and what was kept",
        ["Class", "Candidates", "Kept", *names],
        rows,
        note="Median (lowest to highest).",
    )


def _range(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f"{np.median(known):.3g} ({known.min():.3g} to {known.max():.3g})" if len(known) else "n/a"


def _pairs_gallery(pairs: Sequence[Pair]) -> Gallery:
    rows = [
        (
            f"{place}. {pair.class_name}",
            [
                _thumb(pair.synthetic, f"synthetic {pair.class_name} patch of pair {place}", "synthetic"),
                _thumb(pair.training, f"nearest training patch of pair {place}", f"training, {pair.distance:.3g} away"),
                _thumb(
                    pair.held_out,
                    f"nearest held-out patch of pair {place}",
                    f"held out, {pair.held_out_distance:.3g} away",
                ),
            ],
        )
        for place, pair in enumerate(pairs, start=1)
    ]
    caption = (
        "The synthetic patches that are nearest to a training patch. A copy shows the same nuclei in the same places; "
        "a patch that is only of the same kind does not. Distances in the extractor's features."
    )
    return Gallery(caption, rows, paired=True)


def _thumb(image: np.ndarray, alt: str, text: str) -> Thumbnail:
    return Thumbnail(thumbnail(image), f"{alt}{f' ({text})' if text else ''}", text)


def _picture(one: PictureFile, largest: int) -> Figure:
    image, size = picture(one.path, largest)
    return Figure(alt=one.name, caption=one.text, image=image, size=size)
