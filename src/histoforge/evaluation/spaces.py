"""Warnings about feature spaces: extractors that failed their check, and spaces that contradict each other."""

from collections.abc import Mapping, Sequence

from histoforge.core.text import join_words
from histoforge.evaluation.findings import GenerativeRow
from histoforge.evaluation.synthetic_sets import SELECTED, UNSELECTED
from histoforge.metrics.extractor_check import ExtractorCheck

DISTANCES = ("fid", "kid", "cmmd")
"""Metrics by which generators are ordered in each space, keys of `METRICS`."""
CLEAR_CHANGE = 0.1
"""Relative difference between two distances from which on it counts; smaller ones are within what samples vary by."""


def check_warnings(checks: Sequence[ExtractorCheck]) -> list[str]:
    """Return a warning for each extractor that failed its check."""
    return [f"{check.text} Its distances are marked; trust other extractors more." for check in checks if check.text]


def selection_warnings(rows: Sequence[GenerativeRow]) -> list[str]:
    """Return a warning if the spaces disagree whether the selection brings patches nearer to real ones."""
    fids: dict[str, dict[str, float]] = {}
    against = rows[0].against if rows else ""
    for row in rows:
        if row.against == against and row.metrics.fid is not None:
            fids.setdefault(row.metrics.extractor, {})[row.subset] = row.metrics.fid
    both = {name: sets for name, sets in fids.items() if {SELECTED, UNSELECTED} <= sets.keys()}
    nearer = [name for name, sets in both.items() if sets[SELECTED] < (1 - CLEAR_CHANGE) * sets[UNSELECTED]]
    farther = [name for name, sets in both.items() if sets[UNSELECTED] < (1 - CLEAR_CHANGE) * sets[SELECTED]]
    if not nearer or not farther:
        return []
    return [
        f"The feature spaces disagree about the selection: by FID, selected patches are nearer to {against} than "
        f"unselected ones in the features of {join_words(nearer)}, but farther in those of {join_words(farther)}."
    ]


def order_warnings(distances: Mapping[str, Mapping[str, float]], title: str = "FID") -> list[str]:
    """Return a warning if the spaces disagree which generator or set is best.

    Args:
        distances: mean distance by extractor and name.
        title: name of the distance.
    """
    best: dict[str, list[str]] = {}
    for extractor, by_name in distances.items():
        if len(by_name) > 1:
            first, second = sorted(by_name, key=lambda name: by_name[name])[:2]
            if _is_clearly_nearer(by_name[first], by_name[second]):
                best.setdefault(first, []).append(extractor)
    if len(best) < 2:
        return []
    phrases = (f"{name} in the features of {join_words(extractors)}" for name, extractors in best.items())
    return [f"The feature spaces disagree about the order: the lowest {title} has {'; '.join(phrases)}."]


def swapped_pairs(distances: Mapping[str, Mapping[str, float]], reference: str) -> dict[str, list[tuple[str, str]]]:
    """Return the pairs of generators or sets that each space puts in the opposite order of the reference space.

    A pair counts if its difference is clear in both spaces.

    Args:
        distances: mean distance by extractor and name.
        reference: the extractor whose order the others are compared with.

    Returns:
        Pairs (nearer in this space, nearer in the reference space) by extractor; spaces without such a pair included.
    """
    order = distances.get(reference, {})
    return {
        extractor: [
            (nearer, other)
            for nearer in by_name
            for other in by_name
            if {nearer, other} <= order.keys()
            and _is_clearly_nearer(by_name[nearer], by_name[other])
            and _is_clearly_nearer(order[other], order[nearer])
        ]
        for extractor, by_name in distances.items()
        if extractor != reference
    }


def _is_clearly_nearer(first: float, second: float) -> bool:
    return first < second - CLEAR_CHANGE * abs(second)
