"""Warnings about feature spaces: extractors that failed their check, and spaces that contradict each other."""

from collections.abc import Mapping, Sequence

from histoforge.core.text import join_words
from histoforge.evaluation.findings import GenerativeRow
from histoforge.evaluation.synthetic_sets import SELECTED, UNSELECTED
from histoforge.metrics.extractor_check import ExtractorCheck

CLEAR_CHANGE = 0.1
"""Relative difference between two FIDs from which on it counts; smaller ones are within what samples vary by."""


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


def order_warnings(fids: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a warning if the spaces disagree which generator is best.

    Args:
        fids: mean FID by extractor and generator.
    """
    best: dict[str, list[str]] = {}
    for extractor, by_name in fids.items():
        if len(by_name) > 1:
            first, second = sorted(by_name, key=lambda name: by_name[name])[:2]
            if by_name[first] < (1 - CLEAR_CHANGE) * by_name[second]:
                best.setdefault(first, []).append(extractor)
    if len(best) < 2:
        return []
    named = (f"{name} in the features of {join_words(extractors)}" for name, extractors in best.items())
    return [f"The feature spaces disagree about the order of the methods: the lowest FID has {'; '.join(named)}."]
