"""Implement `histoforge duplicates`: embed both sets, audit, write the page and its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoforge.cli.claims import claim_page
from histoforge.cli.searching import numbers_file
from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.patches import PatchSet
from histoforge.patches.matching import check_same_format
from histoforge.reports.duplicates_page import ShownPair, ShownPatch, build_duplicates_page
from histoforge.reports.layout.page import write_page
from histoforge.siamese.duplicates import ClosePair, DuplicateAudit, audit_duplicates
from histoforge.siamese.exact_copies import PixelKeys, pixel_keys
from histoforge.siamese.guide import load_guide
from histoforge.siamese.retrieval import FLIPS, Embeddings, embed_set, most_similar

PAIRS_SHOWN = 18
TRAIN, HELD_OUT = ("train",), ("val", "test")
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Audit:
    """The arguments of an audit.

    Attributes:
        synthetic: the patch set that a generator drew.
        real: the patch set that it was trained on.
        model: the guide.
        out: the page.
        quantile: quantile of the held-out patches' similarity above which a patch is flagged.
        flips: True to compare mirrored patches too.
        cache: a folder for embeddings, or None.
        device: device to compute on.
        overwrite: True if an earlier page may be replaced.
    """

    synthetic: Path
    real: Path
    model: Path
    out: Path
    quantile: float
    flips: bool
    cache: Path | None
    device: str
    overwrite: bool = False


def show_duplicates(asked: Audit) -> None:
    """Write the page of the audit of a synthetic set, and its numbers as JSON beside it.

    Raises:
        SettingsError: if the quantile is invalid, or `out` is not a page.
        PatchSetError, ModelError: if a set or the guide is missing, damaged or does not fit the others.
        StorageError: if the page may not be written.
    """
    numbers_file(asked.out)
    given = {"--in": asked.synthetic, "--of": asked.real, "--model": asked.model}
    settings = {"quantile": asked.quantile, "flips": asked.flips}
    with claim_page("duplicates", asked.out, settings, given, asked.overwrite) as command:
        _show_duplicates(asked, command)


def _show_duplicates(asked: Audit, command: str) -> None:
    numbers = numbers_file(asked.out)
    if not 0.5 <= asked.quantile < 1:
        raise SettingsError(f"--quantile is {asked.quantile:g}: give one from 0.5 to below 1, such as 0.99.")
    synthetic, real = PatchSet.open(asked.synthetic), PatchSet.open(asked.real)
    _check_sets(asked, synthetic, real)
    train, held = _rows(real, TRAIN, asked.real), _rows(real, HELD_OUT, asked.real)
    guide = load_guide(asked.model, asked.device)
    guide.check_patches(real, f"the patch set {asked.real}")
    flips = FLIPS if asked.flips else FLIPS[:1]
    drawn = [embed_set(guide, synthetic, asked.cache, "synthetic patches", flip) for flip in flips]
    known = [embed_set(guide, real, asked.cache, "real patches", flip) for flip in flips]
    pixels = pixel_keys(real)
    keys = PixelKeys([pixel_keys(synthetic, flip) for flip in flips], pixels[train], pixels[held])
    audit, found = audit_duplicates(
        drawn,
        [view[train] for view in known],
        [view[held] for view in known],
        keys,
        quantile=asked.quantile,
        n_closest=PAIRS_SHOWN,
        device=guide.device,
    )
    audit = _with_rows_of_the_set(audit, train, held)
    page = build_duplicates_page(
        audit,
        found,
        pairs=_pairs(audit, (synthetic, drawn[0]), (real, known[0]), held),
        pairs_within=_pairs_within(audit.within.closest, synthetic),
        subtitle=f"{asked.synthetic} against {asked.real}",
        guide=guide.name,
        warnings=_doubts(asked, audit, synthetic, real),
        numbers=numbers.name,
    )
    digests = {"guide": guide.info.digest, "synthetic": synthetic.digest, "real": real.digest}
    write_json(numbers, {**digests, "command": command, **audit.model_dump(mode="json")})
    write_page(asked.out, page)
    say(f"written to {asked.out} and {numbers}")
    print(audit.verdict)


def _check_sets(asked: Audit, synthetic: PatchSet, real: PatchSet) -> None:
    if not synthetic.info.synthetic or real.info.synthetic:
        wrong, kind = (asked.real, "synthetic") if real.info.synthetic else (asked.synthetic, "real")
        raise PatchSetError(
            f"{wrong} holds {kind} patches: give --in the synthetic set and --of the one it was made of."
        )
    advice = "name the patch set that the generator was trained on"
    check_same_format(f"{asked.synthetic} has", synthetic, str(asked.real), real, advice, PatchSetError)
    if len(synthetic) < 2:
        raise PatchSetError(f"{asked.synthetic} has {len(synthetic)} patches: an audit needs at least two.")


def _rows(real: PatchSet, splits: Sequence[str], where: Path) -> Rows:
    rows = np.flatnonzero(real.index["split"].isin(splits).to_numpy())
    if len(rows) < 2:
        raise PatchSetError(
            f"The patch set {where} has {len(rows)} patches in its {' and '.join(splits)} split: the audit compares "
            "with training and with held-out patches, and needs at least two of each."
        )
    return rows


def _with_rows_of_the_set(audit: DuplicateAudit, train: Rows, held: Rows) -> DuplicateAudit:
    """Return the audit with rows of the whole real set instead of rows of its splits."""

    def moved(pairs: Sequence[ClosePair]) -> list[ClosePair]:
        return [pair.model_copy(update={"other": int(train[pair.other])}) for pair in pairs]

    near, copies = audit.nearness, audit.copies
    nearness = near.model_copy(update={"flagged": moved(near.flagged), "closest": moved(near.closest)})
    of_training = [(row, int(train[other])) for row, other in copies.of_training]
    of_held_out = [(row, int(held[other])) for row, other in copies.of_held_out]
    copies = copies.model_copy(update={"of_training": of_training, "of_held_out": of_held_out})
    return audit.model_copy(update={"nearness": nearness, "copies": copies})


def _pairs(
    audit: DuplicateAudit, synthetic: tuple[PatchSet, Embeddings], real: tuple[PatchSet, Embeddings], held: Rows
) -> list[ShownPair]:
    """Return the closest pairs, each with the held-out patch nearest to its synthetic one."""
    drawn, embedded = synthetic
    patches, known = real
    closest, names = audit.nearness.closest, patches.index["class_name"].to_numpy()
    rows = np.array([pair.synthetic for pair in closest])
    others = most_similar(embedded[rows], known[held], 1, label="closest to held out")
    pairs = []
    for place, pair in enumerate(closest):
        outside, similarity = int(held[others.rows[place, 0]]), float(others.similarities[place, 0])
        flagged = "flagged" if pair.similarity > audit.nearness.threshold else "not flagged"
        own = str(drawn.index["class_name"].iloc[pair.synthetic])
        shown = [
            _shown(drawn, pair.synthetic, f"synthetic patch of pair {place + 1}", f"synthetic, row {pair.synthetic}"),
            _shown(
                patches, pair.other, "nearest training patch",
                f"training, {names[pair.other]}, row {pair.other}: {pair.similarity:.4f}",
            ),
            _shown(patches, outside, "nearest held-out patch", f"held out, {names[outside]}: {similarity:.4f}"),
        ]  # fmt: skip
        pairs.append(ShownPair(f"{place + 1}. {own}, {flagged}", shown))
    return pairs


def _pairs_within(closest: Sequence[ClosePair], drawn: PatchSet) -> list[ShownPair]:
    names = drawn.index["class_name"].to_numpy()
    return [
        ShownPair(
            f"{place}. similarity {pair.similarity:.4f}",
            [_shown(drawn, row, f"synthetic patch, row {row}", f"{names[row]}, row {row}") for row in both],
        )
        for place, pair in enumerate(closest, start=1)
        for both in [(pair.other, pair.synthetic)]
    ]


def _shown(patches: PatchSet, row: int, alt: str, text: str) -> ShownPatch:
    return ShownPatch(patches.images(np.array([row]))[0], alt, text)


def _doubts(asked: Audit, audit: DuplicateAudit, synthetic: PatchSet, real: PatchSet) -> list[str]:
    doubts = []
    made_of = (synthetic.info.made_by.get("scoring") or {}).get("patches")
    if made_of not in (None, real.digest):
        doubts.append(
            f"{asked.synthetic} was made from another patch set than {asked.real}: its training patches are not those "
            "that were compared."
        )
    patients = [set(real.index["patient"].iloc[_rows(real, splits, asked.real)]) - {""} for splits in (TRAIN, HELD_OUT)]
    if both := len(patients[0] & patients[1]):
        doubts.append(
            f"{both:,} of {len(patients[1]):,} patients with held-out patches have training patches too (the set was "
            "not split by patient): held-out patches are then nearer to training, and copies are harder to see."
        )
    if audit.copies.of_held_out:
        doubts.append(
            f"{len(audit.copies.of_held_out):,} synthetic patches are exact copies of held-out patches, which no "
            "generator should have seen."
        )
    if audit.n_held_out * (1 - audit.nearness.quantile) < 1:
        doubts.append(
            f"{audit.n_held_out:,} held-out patches are few for a quantile of {audit.nearness.quantile:g}: the "
            "threshold is the similarity of the closest one of them."
        )
    return doubts
