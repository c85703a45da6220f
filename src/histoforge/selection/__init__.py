"""Selection of synthetic patches to train on: counts, scores under Monte Carlo dropout, and rules."""

from histoforge.selection.counts import check_pool, kept_counts, pool_counts
from histoforge.selection.pool import check_scored, draw_pool, take_over
from histoforge.selection.rules import RULES, Rule, Selection, select
from histoforge.selection.scores import Scorer, Scores

__all__ = [
    "RULES",
    "Rule",
    "Scorer",
    "Scores",
    "Selection",
    "check_pool",
    "check_scored",
    "draw_pool",
    "kept_counts",
    "pool_counts",
    "select",
    "take_over",
]
