"""Split patches by patient, stratified by class.

A4-15: user data is split by patient, so that no patient is in two splits. A source with an official split keeps it:
PatchCamelyon's official splits share no slide.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_matrix

from histoforge.core.errors import SourceError
from histoforge.core.seeds import numpy_rng
from histoforge.core.text import counted, join_words, quoted

SPLITS = ("train", "val", "test")
SEARCHED_GROUPS = 1000
SWAP_PARTNERS = 256
SWEEPS = 30
MIN_GROUPS = 4
"""Minimum number of training patients of a class from which some are held back: at least two remain."""
IMPORTANCE = (4.0, 1.0, 2.0)
"""Weights of train, val and test: of a class that cannot be in all of them, test is given up before train."""
REMEDIES = {
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
    names, group_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    counts = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(counts, (group_of, labels), 1)
    _check(counts, classes, ratios, unit)
    splits, missing = _distribute(counts, ratios, IMPORTANCE, numpy_rng(seed, "split"))
    if missing:
        raise _missing_class(missing, classes, counts > 0, unit)
    return np.asarray(SPLITS, dtype=object)[splits][group_of]


def split_into_folds(
    groups: Sequence[str], labels: NDArray[np.int64], n_classes: int, folds: int, seed: int = 0
) -> NDArray[np.int64]:
    """Return the fold in which each patch is tested, int64 [N], keeping groups together.

    The folds have about equally many patches of each class and equally many groups, like the splits of
    `split_by_group`. A class with fewer groups than folds is in as many folds as it has groups.

    Args:
        groups: the patient (or slide) of each patch, [N]; at least `folds` different ones.
        labels: the class of each patch, int64 [N].
        n_classes: number of classes.
        folds: number of folds, at least 2.
    """
    names, group_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    counts = np.zeros((len(names), n_classes), np.int64)
    np.add.at(counts, (group_of, labels), 1)
    equal = (1 / folds,) * folds
    fold_of_group, _ = _distribute(counts, equal, (1.0,) * folds, numpy_rng(seed, "folds"))
    return fold_of_group[group_of]


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


def hold_back(
    units: Mapping[str, Sequence[str]],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    share: float,
    seed: int,
) -> tuple[NDArray[np.bool_], str]:
    """Choose a share of the training patches for the positive control, in whole groups where there are enough of them.

    Groups are kept whole if each class comes from at least `MIN_GROUPS` of them; otherwise patches are drawn from each
    class, and those held back belong to patients that are trained on. The classes keep their shares, and every class is
    on both sides.

    Args:
        units: for each unit to try in turn, such as 'patient' and 'slide', the group of each training patch, [N].
        labels: indices into `classes`, int64 [N].
        share: share to hold back, above 0 and below 1.

    Returns:
        A mask of the patches held back, bool [N], and the unit: one of `units`, or 'patch'.
    """
    for unit, groups in units.items():
        pairs = pd.DataFrame({"group": list(groups), "label": labels}).drop_duplicates()
        if pairs["label"].value_counts().reindex(range(len(classes)), fill_value=0).min() < MIN_GROUPS:
            continue
        if len(set(groups)) == len(labels):
            return ~fraction_of_each_class(labels, 1 - share, seed), unit
        try:
            splits = split_by_group(groups, labels, classes, (1 - share, share, 0.0), seed, unit)
        except SourceError:  # some classes share their few groups
            continue
        return splits == "val", unit
    return ~fraction_of_each_class(labels, 1 - share, seed), "patch"


def check_given_split(groups: Sequence[str], splits: Iterable[str], unit: str = "patient") -> None:
    """Raise SourceError if a patient is in two of the splits that the source itself defines."""
    pairs = pd.DataFrame({"group": list(groups), "split": list(splits)}).drop_duplicates()
    repeated = pairs[pairs.duplicated("group", keep=False)].sort_values("group")
    if len(repeated):
        name = repeated["group"].iloc[0]
        shared = sorted(repeated.loc[repeated["group"] == name, "split"], key=SPLITS.index)
        raise SourceError(
            f"The {unit} '{name}' is in several splits of the source, {join_words(quoted(shared))}: correct the column "
            "'split', or omit it to have the patches split here."
        )


def check_every_class(
    labels: NDArray[np.int64], splits: NDArray[np.object_], classes: Sequence[str], wanted: Sequence[str]
) -> None:
    """Raise SourceError if a class has no patch in one of the splits `wanted`."""
    for split in wanted:
        for label, name in enumerate(classes):
            if not ((splits == split) & (labels == label)).any():
                raise SourceError(
                    f"Class '{name}' has no patch in the '{split}' split: add images of it there, or exclude the class "
                    "with ignore_classes."
                )


def _check(counts: NDArray[np.int64], classes: Sequence[str], ratios: tuple[float, float, float], unit: str) -> None:
    wanted = [name for name, ratio in zip(SPLITS, ratios, strict=True) if ratio > 0]
    for label, name in enumerate(classes):
        if not counts[:, label].any():
            raise SourceError(f"Class '{name}' has no patches: add images of it, or remove it from 'classes'.")
    if len(counts) < len(wanted):
        groups, splits = counted(len(counts), f"{unit}s"), join_words(quoted(wanted))
        raise SourceError(
            f"The source has {groups}, and a split by {unit} into {splits} needs at least {len(wanted)}: "
            f"{REMEDIES[unit]}, or set split_ratios to 0 for the splits that you do not need."
        )


def _distribute(
    counts: NDArray[np.int64], ratios: Sequence[float], importance: Sequence[float], rng: np.random.Generator
) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
    """Distribute groups over splits: each class into each split where possible, then by the ratios.

    Args:
        counts: patches by group and class, int64 [groups, classes].
        ratios: share of each split, which sum to 1; a share of 0 omits the split.
        importance: weight of having all classes in a split, where not every split can have them.
        rng: source of all random choices.

    Returns:
        The index of each group's split, int64 [groups], and the pairs of class and split for which no group is left.
    """
    splits, missing = _assign(counts, ratios, importance, rng)
    _Balancer(splits, counts, np.asarray(ratios)).improve(rng)
    return splits, missing


def _assign(
    counts: NDArray[np.int64], ratios: Sequence[float], importance: Sequence[float], rng: np.random.Generator
) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
    """Assign as few groups as put each class into each split, and distribute the others by the ratios."""
    class_sets, set_of = np.unique(counts > 0, axis=0, return_inverse=True)
    reserved, missing = _reserve(class_sets, np.bincount(set_of, minlength=len(class_sets)), ratios, importance)
    splits = np.empty(len(counts), np.int64)
    for class_set in range(len(class_sets)):
        members = rng.permutation(np.flatnonzero(set_of == class_set))
        required = np.repeat(np.arange(len(ratios)), reserved[class_set])
        target = np.asarray(ratios) * len(members)
        remaining = np.empty(len(members) - len(required), np.int64)
        assigned = reserved[class_set].astype(float)
        for index in range(len(remaining)):
            remaining[index] = np.argmax(np.where(np.asarray(ratios) > 0, target - assigned, -np.inf))
            assigned[remaining[index]] += 1
        splits[members] = np.concatenate([required, remaining])
    return splits, missing


def _reserve(
    class_sets: NDArray[np.bool_], sizes: NDArray[np.int64], ratios: Sequence[float], importance: Sequence[float]
) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
    """Find how many groups with each set of classes a split needs so that it has all classes.

    This maximises sum(w z) - e sum(y), where y is the number of groups with a set of classes in a split, and z = 1 if a
    class is in a split.

    Args:
        class_sets: the distinct sets of classes that groups have, bool [sets, classes].
        sizes: number of groups with each of them, int64 [sets].
        ratios, importance: see `_distribute`.

    Returns:
        y, int64 [sets, splits], and the pairs of class and split with z = 0.
    """
    count, n_classes = len(ratios), class_sets.shape[1]
    wanted = [split for split, ratio in enumerate(ratios) if ratio > 0]
    cells = [(label, split) for split in wanted for label in range(n_classes)]
    y_count = len(class_sets) * count
    cover = lil_matrix((len(cells), y_count + len(cells)))
    for row, (label, split) in enumerate(cells):
        cover[row, np.flatnonzero(class_sets[:, label]) * count + split] = 1
        cover[row, y_count + row] = -1
    capacity = lil_matrix((len(class_sets), y_count + len(cells)))
    for row in range(len(class_sets)):
        capacity[row, row * count : (row + 1) * count] = 1
    cost = np.concatenate([np.full(y_count, 1e-4), [-importance[split] for _, split in cells]])
    upper = np.concatenate(
        [np.where(np.isin(np.arange(y_count) % count, wanted), np.repeat(sizes, count), 0), np.ones(len(cells))]
    )
    solution = milp(
        cost,
        integrality=np.ones(len(cost)),
        bounds=Bounds(0, upper),
        constraints=[LinearConstraint(cover.tocsr(), 0, np.inf), LinearConstraint(capacity.tocsr(), 0, sizes)],
    )
    values = np.round(solution.x).astype(np.int64)
    missing = [cell for cell, covered in zip(cells, values[y_count:], strict=True) if not covered]
    return values[:y_count].reshape(-1, count), missing


def _missing_class(
    missing: list[tuple[int, int]], classes: Sequence[str], present: NDArray[np.bool_], unit: str
) -> SourceError:
    label = min((label for label, _ in missing), key=lambda label: int(present[:, label].sum()))
    splits = join_words(quoted(SPLITS[split] for other, split in sorted(missing) if other == label))
    groups = counted(int(present[:, label].sum()), f"{unit}s")
    weaker = ", or set split_by=slide, a weaker split that reports name" if unit == "patient" else ""
    return SourceError(
        f"Class '{classes[label]}' comes from {groups}, so a split by {unit} has none of it in {splits}: add {unit}s "
        f"with it, exclude it with ignore_classes, or omit a split with split_ratios{weaker}."
    )


class _Balancer:
    """Move and swap groups between splits, in place, to bring the shares of the splits closer to their ratios.

    Attributes:
        splits: index of each group's split, int64 [groups].
        shares: each group's share of the patches of each class and, last, of the groups, [groups, classes + 1].
        present: 1 if a group has patches of a class, int64 [groups, classes].
        excess: by how much the shares of a split exceed its ratio, [splits, classes + 1].
        cover: number of groups with patches of a class in each split, int64 [splits, classes].
    """

    def __init__(self, splits: NDArray[np.int64], counts: NDArray[np.int64], ratios: NDArray[np.float64]) -> None:
        self.splits, self.ratios = splits, ratios
        self.shares = np.column_stack([counts / counts.sum(axis=0), np.full(len(counts), 1 / len(counts))])
        self.present = (counts > 0).astype(np.int64)
        self.excess = (
            np.stack([self.shares[splits == split].sum(axis=0) for split in range(len(ratios))]) - ratios[:, None]
        )
        self.cover = np.stack([self.present[splits == split].sum(axis=0) for split in range(len(ratios))])

    def improve(self, rng: np.random.Generator) -> None:
        """Try moves and swaps of the largest groups until none helps, or for `SWEEPS` passes."""
        largest = np.argsort(-self.shares.max(axis=1), kind="stable")[:SEARCHED_GROUPS]
        for _ in range(SWEEPS):
            changed = False
            for group in rng.permutation(largest):
                changed |= self._best_change(int(group), rng.permutation(largest)[:SWAP_PARTNERS])
            if not changed:
                return

    def _best_change(self, group: int, partners: NDArray[np.int64]) -> bool:
        """Move a group to another split, or swap it with a partner there, and return whether that helped.

        If u moves from split a to split b, and A and B are the excesses of these splits, the sum of squares changes by
        2 u (u - A + B). A change that would remove a class from a split is not allowed.
        """
        source = int(self.splits[group])
        moves = np.array(
            [split for split in range(len(self.ratios)) if split != source and self.ratios[split] > 0], np.int64
        )
        partners = partners[self.splits[partners] != source]
        targets = np.concatenate([moves, self.splits[partners]])
        shares, present = (
            np.concatenate([np.tile(of[group], (len(moves), 1)), of[group] - of[partners]])
            for of in (self.shares, self.present)
        )
        change = (2 * shares * (shares - self.excess[source] + self.excess[targets])).sum(axis=1)
        allowed = ((self.cover[source] - present > 0) | (self.cover[source] == 0)).all(axis=1)
        allowed &= ((self.cover[targets] + present > 0) | (self.cover[targets] == 0)).all(axis=1)
        change = np.where(allowed, change, np.inf)
        if not len(change) or change.min() > -1e-12:
            return False
        best = int(change.argmin())
        target = int(targets[best])
        self.excess[source] -= shares[best]
        self.excess[target] += shares[best]
        self.cover[source] -= present[best]
        self.cover[target] += present[best]
        if best >= len(moves):
            self.splits[partners[best - len(moves)]] = source
        self.splits[group] = target
        return True
