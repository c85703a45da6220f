"""The page of `histoforge duplicates`: near copies of training patches, and of each other, in a synthetic set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoforge.reports.layout.blocks import Block, Figure, Figures, Gallery, Page, Section, Table, Thumbnail, cells
from histoforge.reports.layout.drawing import FAINT, INK, colour, draw
from histoforge.reports.layout.pictures import thumbnail
from histoforge.siamese.duplicates import DuplicateAudit, NearestSimilarities

BINS = 50


@dataclass(frozen=True)
class ShownPatch:
    """A patch in a gallery: uint8 [H, W, 3], a description, and the line below it."""

    image: NDArray[np.uint8]
    alt: str
    text: str


@dataclass(frozen=True)
class ShownPair:
    """Patches side by side under a title: a synthetic patch and those most similar to it."""

    title: str
    patches: Sequence[ShownPatch]


def build_duplicates_page(
    audit: DuplicateAudit,
    found: NearestSimilarities,
    *,
    pairs: Sequence[ShownPair],
    pairs_within: Sequence[ShownPair],
    subtitle: str,
    guide: str,
    warnings: Sequence[str],
    numbers: str,
) -> Page:
    """Build the page.

    Args:
        audit: the result of the audit.
        found: the similarities behind it.
        pairs: synthetic patches with their nearest training patches, the most similar first.
        pairs_within: synthetic patches with the most similar ones of the same set.
        subtitle: text that names the sets.
        guide: name of the guide.
        warnings: what the reader must know first.
        numbers: name of the file with the same content as JSON.
    """
    near = audit.nearness
    return Page(
        title="Does the synthetic set hold duplicates?",
        subtitle=subtitle,
        verdict="worse" if audit.copied else "no_difference" if audit.enough else "too_few",
        headline=audit.verdict,
        answer=[_within_line(audit), _reference_line(audit)],
        facts=[
            (f"{len(audit.copies.of_training):,}", "exact copies of training patches"),
            (f"{len(near.flagged):,}", f"flagged of {audit.n_synthetic:,} synthetic patches"),
            (f"{near.share:.1%}", f"flagged, where {1 - near.quantile:.1%} are expected"),
            (f"{near.threshold:.4f}", "similarity from which patches are flagged"),
        ],
        warnings=warnings,
        sections=[
            _similarity_section(audit, found, guide),
            _pairs_section(pairs, audit),
            _within_section(audit, pairs_within),
        ],
        numbers=numbers,
    )


def _within_line(audit: DuplicateAudit) -> str:
    copies, quantile = len(audit.copies.within), 100 * audit.nearness.quantile
    exact = "none has the pixels of another" if not copies else f"{copies:,} repeat the pixels of another"
    return (
        f"Among the synthetic patches, {exact}, and {audit.within.share:.1%} are more similar to another one than "
        f"{quantile:.4g}% of as many training patches are to another training patch."
    )


def _reference_line(audit: DuplicateAudit) -> str:
    near = audit.nearness
    return (
        f"Median similarity to the nearest training patch: {near.median:.4f} for synthetic patches, "
        f"{near.held_out_median:.4f} for held-out real ones, and {near.training_median:.4f} for training patches to "
        "the nearest other one, which share their patients as the generator does. Between the last two an innocent "
        "generator is to be expected."
    )


def _similarity_section(audit: DuplicateAudit, found: NearestSimilarities, guide: str) -> Section:
    near, copies = audit.nearness, audit.copies
    patches = f"{audit.n_synthetic:,} synthetic, {audit.n_training:,} training, {audit.n_held_out:,} held out"
    rows = [
        ("Patches compared", patches),
        ("Exact copies of training patches", f"{len(copies.of_training):,}"),
        ("Exact copies of held-out patches", f"{len(copies.of_held_out):,}"),
        (
            f"More similar to training than {100 * near.quantile:.4g}% of held-out patches",
            f"{near.share:.1%} of synthetic and {near.held_out_share:.1%} of held-out patches, Fisher's exact p = "
            f"{near.p:.2g}",
        ),
        ("More similar to training than a held-out patch", f"{near.more_similar:.1%} of pairs (50% if alike)"),
        (
            "More similar to training than a training patch to another",
            f"{near.more_similar_than_training:.1%} of pairs, one-sided p = {near.p_than_training:.2g} (50% or less "
            "where nothing is copied)",
        ),
    ]
    note = (
        f"Similarity: cosine of the embeddings of {guide}. It learnt from the same training patches, and patches of "
        "one patient are not independent: the test leans towards suspicion."
    )
    table = Table(
        "Audit against the training patches", ["Question", "Finding"], [cells(*r) for r in rows], note, words=True
    )
    blocks: list[Block] = [table, Figures([_histogram(found, near.threshold)])]
    return Section("similarity", "Nearest training patches", "Are synthetic patches too close to real ones?", blocks)


def _histogram(found: NearestSimilarities, threshold: float) -> Figure:
    groups = {
        "synthetic": found.synthetic,
        "held out": found.held_out,
        "training, to another": found.training,
    }
    low = min(float(values.min()) for values in groups.values())
    edges = np.linspace(min(low, 0.999), 1, BINS).tolist()
    with draw("Similarity to the nearest training patch", "Share of patches") as drawing:
        for place, (name, values) in enumerate(groups.items()):
            weights = np.full(len(values), 1 / len(values))
            drawing.axes.hist(values, edges, weights=weights, histtype="step", color=colour(place), label=name, lw=1.5)
        drawing.axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.1, label="flagged above")
        drawing.axes.tick_params(color=FAINT)
        drawing.legend()
    medians = ", ".join(f"{name} {float(np.median(values)):.4f}" for name, values in groups.items())
    return Figure(
        alt=f"Histogram of the similarity to the nearest training patch; medians: {medians}.",
        caption="A generator that copies stands to the right of the held-out patches, near 1. Dashed line: above it, "
        f"synthetic patches are flagged. Medians: {medians}.",
        svg=drawing.svg,
    )


def _pairs_section(pairs: Sequence[ShownPair], audit: DuplicateAudit) -> Section:
    turned = " Mirrored patches were compared too, so that a copy may be turned round." if audit.views > 1 else ""
    caption = (
        f"The synthetic patches most similar to a training patch (flagged above {audit.nearness.threshold:.4f}). A "
        f"copy shows the same nuclei in the same places; a patch that is only of the same kind does not.{turned}"
    )
    return Section("pairs", "The closest pairs", "Copies, or only alike? Eyes decide.", [_gallery(caption, pairs)])


def _within_section(audit: DuplicateAudit, pairs: Sequence[ShownPair]) -> Section:
    caption = (
        f"The synthetic patches most similar to each other, of {audit.within.n:,} that were compared (unusual above "
        f"{audit.within.threshold:.4f}). Many near-duplicates are a sign of mode collapse."
    )
    lead = "Does the generator draw the same patch again and again?"
    return Section("within", "Duplicates among synthetic patches", lead, [_gallery(caption, pairs)])


def _gallery(caption: str, pairs: Sequence[ShownPair]) -> Gallery:
    rows = [
        (pair.title, [Thumbnail(thumbnail(one.image), one.alt, one.text) for one in pair.patches]) for pair in pairs
    ]
    return Gallery(caption, rows, paired=True)
