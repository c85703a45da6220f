"""The page of `histoforge duplicates`: near copies of training patches, and of each other, in a synthetic set."""

import numpy as np

from histoforge.evaluation.copies import copy_pairs
from histoforge.metrics.near_copies import NearCopies, Nearness
from histoforge.patches import PatchSet
from histoforge.reports.layout.blocks import Block, Figure, Figures, Gallery, Page, Section, Table, Thumbnail, cells
from histoforge.reports.layout.drawing import FAINT, INK, colour, draw
from histoforge.reports.layout.pictures import thumbnail
from histoforge.reports.sections.memorisation import copies_gallery
from histoforge.siamese.duplicates import DuplicateFindings

BINS = 50
MAX_COPIES = 12


def build_duplicates_page(
    findings: DuplicateFindings,
    synthetic: PatchSet,
    real: PatchSet,
    *,
    subtitle: str,
    data_file: str,
) -> Page:
    """Return the page.

    Args:
        findings: the result of the audit.
        synthetic, real: the patch sets that were compared.
        subtitle: text that names the sets.
        data_file: name of the file with the same content as JSON.
    """
    audit, near = findings.audit, findings.near_copies.nearness
    return Page(
        title="Does the synthetic set contain duplicates?",
        subtitle=subtitle,
        verdict="worse" if audit.copied else "no_difference" if audit.enough else "too_few",
        headline=audit.verdict,
        answer=[audit.nearer_verdict, _within_line(findings.near_copies), _reference_line(findings.near_copies)],
        key_numbers=[
            (f"{len(findings.near_copies.copies.of_training):,}", "exact copies of training patches"),
            (f"{len(near.flagged):,}", f"flagged of {audit.n_synthetic:,} synthetic patches"),
            (f"{near.share:.1%}", f"flagged, where {1 - near.quantile:.1%} are expected"),
            (f"{near.threshold:.4f}", "similarity above which patches are flagged"),
        ],
        warnings=findings.warnings,
        sections=[
            _copies_section(findings, synthetic, real),
            _similarity_section(findings),
            _pairs_section(findings, synthetic, real),
            _within_section(findings.near_copies, synthetic),
        ],
        data_file=data_file,
    )


def _within_line(near_copies: NearCopies) -> str:
    copies, quantile = len(near_copies.copies.within), 100 * near_copies.nearness.quantile
    exact = f"{copies:,} {'has' if copies == 1 else 'have'} the same pixels as another one"
    if not copies:
        exact = "no two have the same pixels"
    return (
        f"Among the synthetic patches, {exact}. {near_copies.within.share:.1%} are more similar to another synthetic "
        f"patch than {quantile:.4g}% of training patches are to another training patch, in samples of equal size."
    )


def _reference_line(near_copies: NearCopies) -> str:
    near = near_copies.nearness
    return (
        f"Median similarity to the nearest training patch: {near.median:.4f} for synthetic patches, "
        f"{near.held_out_median:.4f} for held-out real ones, and {near.training_median:.4f} for training patches, each "
        "compared with the other training patches. Synthetic patches resemble the patients of the training split, so "
        "the median of a generator that copies nothing is expected between the last two."
    )


def _copies_section(findings: DuplicateFindings, synthetic: PatchSet, real: PatchSet) -> Section:
    copies = copy_pairs(findings.audit, synthetic, real, MAX_COPIES)
    lead = "Which synthetic patches show a training patch?"
    return Section("copies", "Copies", lead, [copies_gallery(copies)] if copies else [])


def _similarity_section(findings: DuplicateFindings) -> Section:
    audit, near, copies = findings.audit, findings.near_copies.nearness, findings.near_copies.copies
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
            f"{near.more_similar_than_training:.1%} of pairs, one-sided p = {near.p_than_training:.2g} (at most "
            "50% if nothing is copied)",
        ),
    ]
    note = (
        f"Similarity: cosine of the embeddings of {audit.extractor}. It was trained on the same training "
        "patches, and patches of one patient are not independent; both make synthetic patches look nearer."
    )
    table = Table(
        "Audit against the training patches", ["Measure", "Result"], [cells(*r) for r in rows], note, textual=True
    )
    blocks: list[Block] = [table, Figures([_histogram(near)])]
    return Section("similarity", "Nearest training patches", "Are synthetic patches too close to real ones?", blocks)


def _histogram(near: Nearness) -> Figure:
    groups = {
        name.replace("training", "training, to the others"): np.array(values, np.float32)
        for name, values in near.similarities.items()
    }
    low = min(float(values.min()) for values in groups.values())
    edges = np.linspace(min(low, 0.999), 1, BINS).tolist()
    with draw("Similarity to the nearest training patch", "Share of patches") as drawing:
        for index, (name, values) in enumerate(groups.items()):
            weights = np.full(len(values), 1 / len(values))
            drawing.axes.hist(values, edges, weights=weights, histtype="step", color=colour(index), label=name, lw=1.5)
        drawing.axes.axvline(near.threshold, color=INK, linestyle="--", linewidth=1.1, label="flagged above")
        drawing.axes.tick_params(color=FAINT)
        drawing.legend()
    medians = ", ".join(f"{name} {float(np.median(values)):.4f}" for name, values in groups.items())
    return Figure(
        alt=f"Histogram of the similarity to the nearest training patch; medians: {medians}.",
        caption="A generator that copies lies to the right of the held-out patches, near 1. Synthetic patches to the "
        f"right of the dashed line are flagged. Medians: {medians}.",
        svg=drawing.svg,
    )


def _pairs_section(findings: DuplicateFindings, synthetic: PatchSet, real: PatchSet) -> Section:
    near = findings.near_copies.nearness
    flipped = " Flipped patches were compared too, so a copy may be flipped." if findings.near_copies.views > 1 else ""
    caption = (
        f"The synthetic patches most similar to a training patch (flagged above {near.threshold:.4f}). A copy shows "
        f"the same nuclei in the same positions; a patch that is merely similar does not.{flipped}"
    )
    synthetic_names, names = (patches.index["class_name"].to_numpy() for patches in (synthetic, real))
    rows = []
    for rank, (pair, match) in enumerate(zip(near.closest, findings.audit.closest, strict=True), start=1):
        flagged = "flagged" if pair.similarity > near.threshold else "not flagged"
        held_out = f"held out, {names[match.held_out]}: {1 - match.held_out_distance:.4f}"
        thumbnails = [
            _thumbnail(
                synthetic, pair.synthetic, f"synthetic patch of pair {rank}", f"synthetic, row {pair.synthetic}"
            ),
            _thumbnail(
                real,
                pair.other,
                "nearest training patch",
                f"training, {names[pair.other]}, row {pair.other}: {pair.similarity:.4f}",
            ),
            _thumbnail(real, match.held_out, "nearest held-out patch", held_out),
        ]
        rows.append((f"{rank}. {synthetic_names[pair.synthetic]}, {flagged}", thumbnails))
    lead = "Are these copies, or merely similar? Judge by eye."
    return Section("pairs", "The closest pairs", lead, [Gallery(caption, rows, paired=True)])


def _within_section(near_copies: NearCopies, synthetic: PatchSet) -> Section:
    within, names = near_copies.within, synthetic.index["class_name"].to_numpy()
    caption = (
        f"The synthetic patches most similar to each other, of {within.n:,} that were compared (unusual above "
        f"{within.threshold:.4f}). Many near-duplicates are a sign of mode collapse."
    )
    rows = [
        (
            f"{rank}. similarity {pair.similarity:.4f}",
            [
                _thumbnail(synthetic, row, f"synthetic patch, row {row}", f"{names[row]}, row {row}")
                for row in (pair.other, pair.synthetic)
            ],
        )
        for rank, pair in enumerate(within.closest, start=1)
    ]
    lead = "Does the generator draw the same patch again and again?"
    return Section("within", "Duplicates among synthetic patches", lead, [Gallery(caption, rows, paired=True)])


def _thumbnail(patches: PatchSet, row: int, alt: str, text: str) -> Thumbnail:
    return thumbnail(patches.images(np.array([row]))[0], alt, text)
