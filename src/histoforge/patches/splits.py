"""Split patches by patient, stratified by class.

A4-15: user data is split by patient, so that no patient is in two splits. A source with an official split keeps it:
PatchCamelyon's official splits share no slide.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_matrix

from histoforge.core.errors import SourceError
from histoforge.core.seeds import numpy_rng
from histoforge.core.text import join_words, quoted
from histoforge.patches.patchset import SPLITS

SEARCHED_GROUPS = 1000
SWAP_PARTNERS = 256
SWEEPS = 30
WAYS = {
    "patient": "name the patients in a column 'patient' of labels.csv or slides.csv, or by patient_pattern",
    "slide": "name the slides in a column 'slide' of labels.csv or slides.csv",
}


def split_by_group(
    groups: Sequence[str],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    ratios: tuple[float, float, float] = (0.7, 0.1, 0.2),
    seed: int = 0,
    unit: str = "patient",
) -> NDArray[np.object_]:
    """Return the split of each patch, keeping groups together and matching the ratios in every class.

    Every class occurs in every split with a ratio above 0 if any split of the groups allows it, which an integer
    programme determines. Starting from its solution, groups are moved and swapped to bring the patches of each class,
    and the number of groups, close to the ratios (least squares over classes and splits). The result depends on the
    seed but not on the order of the patches.

    Args:
        groups: the patient (or slide) of each patch, [N].
        labels: indices into `classes`, int64 [N].
        ratios: shares of train, val and test; a share of 0 omits the split.
        unit: name of a group in messages: 'patient' or 'slide'.

    Raises:
        SourceError: there are fewer groups than splits, or a class has no patches or cannot be in every split.
    """
    names, places = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    counts = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(counts, (places, labels), 1)
    _check(counts, classes, ratios, unit)
    rng = numpy_rng(seed, "split")
    sides = _start(counts, classes, ratios, unit, rng)
    _improve(sides, counts, np.asarray(ratios), rng)
    return np.asarray(SPLITS, dtype=object)[sides][places]


def fraction_of_each_class(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return a mask that keeps a random `fraction` of each class's patches, at least one; bool [N].

    Balanced classes, such as PatchCamelyon's, stay balanced. Masks with the same seed are nested: a larger fraction
    keeps everything that a smaller one keeps.
    """
    keep = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = numpy_rng(seed, "fraction", int(label)).permutation(rows)
        keep[rows[: max(1, round(fraction * len(rows)))]] = True
    return keep


def check_own_split(groups: Sequence[str], splits: Iterable[str], unit: str = "patient") -> None:
    """Raise SourceError if a patient is in two of the source's official splits."""
    pairs = pd.DataFrame({"group": list(groups), "split": list(splits)}).drop_duplicates()
    twice = pairs[pairs.duplicated("group", keep=False)].sort_values("group")
    if len(twice):
        name = twice["group"].iloc[0]
        sides = sorted(twice.loc[twice["group"] == name, "split"], key=SPLITS.index)
        raise SourceError(
            f"The {unit} '{name}' stands in the source's own splits {join_words(quoted(sides))}: "
            f"correct the column 'split', or leave it out to have the split made."
        )


def check_every_class(
    labels: NDArray[np.int64], splits: NDArray[np.object_], classes: Sequence[str], wanted: Sequence[str]
) -> None:
    """Raise SourceError if a class has no patch in one of the wanted splits."""
    for split in wanted:
        for label, name in enumerate(classes):
            if not ((splits == split) & (labels == label)).any():
                raise SourceError(
                    f"Class '{name}' has no patch in the '{split}' split: add images of it there, or leave the class "
                    f"out with ignore_classes."
                )


def _check(counts: NDArray[np.int64], classes: Sequence[str], ratios: tuple[float, float, float], unit: str) -> None:
    wanted = [name for name, ratio in zip(SPLITS, ratios, strict=True) if ratio > 0]
    for label, name in enumerate(classes):
        if not counts[:, label].any():
            raise SourceError(f"Class '{name}' has no patches at all: add images of it, or leave it out of 'classes'.")
    if len(counts) < len(wanted):
        few = "1 {unit}" if len(counts) == 1 else f"{len(counts)} {{unit}}s"
        raise SourceError(
            f"The source has {few.format(unit=unit)}, and a split by {unit} into {join_words(quoted(wanted))} needs at "
            f"least {len(wanted)}: {WAYS[unit]}, or set split_ratios to 0 for the splits that you do not need."
        )


def _start(
    counts: NDArray[np.int64],
    classes: Sequence[str],
    ratios: tuple[float, float, float],
    unit: str,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Assign the fewest groups that put each class on each side, and distribute the others by the ratios."""
    present = counts > 0
    kinds, kind_of = np.unique(present, axis=0, return_inverse=True)
    reserved = _reserve(kinds, np.bincount(kind_of, minlength=len(kinds)), classes, ratios, present, unit)
    sides = np.empty(len(counts), np.int64)
    for kind in range(len(kinds)):
        members = rng.permutation(np.flatnonzero(kind_of == kind))
        fixed = np.repeat(np.arange(3), reserved[kind])
        want = np.asarray(ratios) * len(members)
        rest = np.empty(len(members) - len(fixed), np.int64)
        have = reserved[kind].astype(float)
        for place in range(len(rest)):
            rest[place] = np.argmax(np.where(np.asarray(ratios) > 0, want - have, -np.inf))
            have[rest[place]] += 1
        sides[members] = np.concatenate([fixed, rest])
    return sides


def _reserve(
    kinds: NDArray[np.bool_],
    sizes: NDArray[np.int64],
    classes: Sequence[str],
    ratios: tuple[float, float, float],
    present: NDArray[np.bool_],
    unit: str,
) -> NDArray[np.int64]:
    """Return the number of groups of each kind (set of classes) that a side needs to have all classes, [kinds, 3].

    This maximises sum(w z) - e sum(y), where y is the number of groups of a kind on a side, and z = 1 if a class is on
    a side.
    """
    wanted = [side for side, ratio in enumerate(ratios) if ratio > 0]
    cells = [(label, side) for side in wanted for label in range(len(classes))]
    y_count = len(kinds) * 3
    cover = lil_matrix((len(cells), y_count + len(cells)))
    for row, (label, side) in enumerate(cells):
        cover[row, np.flatnonzero(kinds[:, label]) * 3 + side] = 1
        cover[row, y_count + row] = -1
    room = lil_matrix((len(kinds), y_count + len(cells)))
    for kind in range(len(kinds)):
        room[kind, kind * 3 : kind * 3 + 3] = 1
    importance = {0: 4.0, 2: 2.0, 1: 1.0}
    cost = np.concatenate([np.full(y_count, 1e-4), [-importance[side] for _, side in cells]])
    upper = np.concatenate(
        [np.where(np.isin(np.arange(y_count) % 3, wanted), np.repeat(sizes, 3), 0), np.ones(len(cells))]
    )
    solution = milp(
        cost,
        integrality=np.ones(len(cost)),
        bounds=Bounds(0, upper),
        constraints=[LinearConstraint(cover.tocsr(), 0, np.inf), LinearConstraint(room.tocsr(), 0, sizes)],
    )
    values = np.round(solution.x).astype(np.int64)
    missing = [cell for cell, there in zip(cells, values[y_count:], strict=True) if not there]
    if missing:
        raise _cannot(missing, classes, present, unit)
    return values[:y_count].reshape(-1, 3)


def _cannot(
    missing: list[tuple[int, int]], classes: Sequence[str], present: NDArray[np.bool_], unit: str
) -> SourceError:
    label = min((label for label, _ in missing), key=lambda label: int(present[:, label].sum()))
    count = int(present[:, label].sum())
    sides = [SPLITS[side] for other, side in sorted(missing) if other == label]
    weaker = ", or set split_by=slide, a weaker split that reports name" if unit == "patient" else ""
    ways = f"leave it out with ignore_classes, or a split with split_ratios{weaker}"
    return SourceError(
        f"Class '{classes[label]}' comes from {count} {unit}{'s' if count != 1 else ''}, so a split by {unit} leaves "
        f"it out of {join_words(quoted(sides))}: add {unit}s of it, {ways}."
    )


def _improve(
    sides: NDArray[np.int64], counts: NDArray[np.int64], ratios: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Move and swap groups in place while this improves the shares and removes no class from a side."""
    shares = np.column_stack([counts / counts.sum(axis=0), np.full(len(counts), 1 / len(counts))])
    present = (counts > 0).astype(np.int64)
    sizes = shares.max(axis=1)
    largest = np.argsort(-sizes, kind="stable")[:SEARCHED_GROUPS]
    away = np.stack([shares[sides == side].sum(axis=0) for side in range(3)]) - ratios[:, None]
    cover = np.stack([present[sides == side].sum(axis=0) for side in range(3)])
    for _ in range(SWEEPS):
        changed = False
        for group in rng.permutation(largest):
            partners = rng.permutation(largest)[:SWAP_PARTNERS]
            changed |= _best_change(int(group), partners, sides, shares, present, away, cover, ratios)
        if not changed:
            return


def _best_change(
    group: int,
    partners: NDArray[np.int64],
    sides: NDArray[np.int64],
    shares: NDArray[np.float64],
    present: NDArray[np.int64],
    away: NDArray[np.float64],
    cover: NDArray[np.int64],
    ratios: NDArray[np.float64],
) -> bool:
    """Apply the best move of a group to another side, or swap with a partner there, and return whether one helped.

    If u moves from side a to side b, and A and B are the deviations of these sides from their ratios, the sum of
    squares changes by 2 u (u - A + B).
    """
    own = int(sides[group])
    others = np.array([side for side in range(3) if side != own and ratios[side] > 0], np.int64)
    partners = partners[sides[partners] != own]
    to = np.concatenate([others, sides[partners]])
    leaves = np.concatenate([np.tile(shares[group], (len(others), 1)), shares[group] - shares[partners]])
    classes = np.concatenate([np.tile(present[group], (len(others), 1)), present[group] - present[partners]])
    gain = (2 * leaves * (leaves - away[own] + away[to])).sum(axis=1)
    allowed = ((cover[own] - classes > 0) | (cover[own] == 0)).all(axis=1)
    allowed &= ((cover[to] + classes > 0) | (cover[to] == 0)).all(axis=1)
    gain = np.where(allowed, gain, np.inf)
    if not len(gain) or gain.min() > -1e-12:
        return False
    best = int(gain.argmin())
    side = int(to[best])
    away[own] -= leaves[best]
    away[side] += leaves[best]
    cover[own] -= classes[best]
    cover[side] += classes[best]
    if best >= len(others):
        sides[partners[best - len(others)]] = own
    sides[group] = side
    return True
