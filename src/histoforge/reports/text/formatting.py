"""Numbers and names as text, in one form throughout the pages."""

from collections.abc import Mapping
from typing import Any

from histoforge.core.text import counted
from histoforge.evaluation.leaderboard_findings import Spread
from histoforge.evaluation.study_findings import SCORE_NAMES, Score, StudyFindings
from histoforge.metrics.bootstrap import MIN_PATIENTS
from histoforge.metrics.compare import MIN_SEEDS, p_text
from histoforge.metrics.crossed import CrossedEffect
from histoforge.metrics.results import Effect
from histoforge.metrics.table import Metric

POINTS = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "f1")
"""Scores whose differences are given in percentage points."""
DIFFERENCE = "+,.3g"
"""Format of a difference, as `format` takes it."""
UNDEFINED, MISSING = "undefined", "n/a"


def score_name(score: str) -> str:
    """Return a score's name for use within a sentence: 'accuracy', 'AUC'."""
    name = SCORE_NAMES[score]
    return name if name.isupper() or name == "F1" else name.lower()


def reference_title(study: StudyFindings) -> str:
    """Return the name of the arm that others are compared with, or 'the reference' if it differs between arms."""
    names = {study.reference_of(arm) for arm in study.challengers}
    return study.title(names.pop()) if len(names) == 1 else "the reference"


def constant_caption(study: StudyFindings) -> str:
    """Explain the line of a plot at the score of a classifier that always gives the same answer; '' without one."""
    constant = study.constant
    if constant is None or constant.scores.get(study.score) is None:
        return ""
    return f"Faint dotted line: always answering '{constant.class_name}'. "


def value_text(value: float | None, form: str = ".3f", missing: str = MISSING) -> str:
    """Format a number, or return `missing` for None. `form` is as `format` takes it."""
    return missing if value is None else format(value, form)


def large_text(value: float | None, digits: int = 3) -> str:
    """Format a number with `digits` decimals, or without decimals from 1,000 on."""
    return value_text(value, f",.{0 if value is not None and abs(value) >= 1000 else digits}f")


def score_text(score: Score) -> str:
    """Format a score as in the paper's tables: '0.754 ± 0.012'."""
    return mean_text(score.mean, score.deviation, ".3f", UNDEFINED)


def spread_text(spread: Spread, form: str) -> str:
    """Format a spread: '44.04 ± 1.20', '44.04' for one seed, or 'n/a'. `form` is as `format` takes it."""
    return mean_text(spread.mean, spread.std, form)


def mean_text(mean: float | None, std: float | None, form: str, missing: str = MISSING) -> str:
    """Format a mean with its standard deviation, where there is one."""
    text = value_text(mean, form, missing)
    return text if mean is None or std is None else f"{text}\u00a0±\u00a0{std:{form}}"


def interval_text(low: float | None, high: float | None, form: str = ".3f") -> str:
    """Format an interval as '[0.612, 0.705]', or return '' if there is none."""
    return "" if low is None or high is None else f"[{low:{form}}, {high:{form}}]"


def estimate_text(estimate: Mapping[str, Any] | None) -> str:
    """Format an estimate of `guide.json` with its interval: '0.812 [0.750, 0.861]'."""
    if not estimate or estimate.get("value") is None:
        return MISSING
    return f"{estimate['value']:.3f} {interval_text(estimate.get('low'), estimate.get('high'))}".strip()


def metric_text(metric: Metric) -> str:
    """Describe a metric as registered: 'Recall: share of real patches …; higher is better.'"""
    direction = f"{metric.best} is better" if metric.best else "neither direction is better"
    return f"{metric.title}: {metric.description}; {direction}."


def amount(score: str, value: float) -> str:
    """Describe a difference: '2.1 percentage points above', or '0.021 below' for an AUC."""
    return f"{size_text(score, value)} {'below' if value < 0 else 'above'}"


def size_text(score: str, value: float) -> str:
    """Format the size of a difference: '2.1 percentage points', or '0.021' for an AUC."""
    return f"{abs(value) * 100:.1f} percentage points" if score in POINTS else f"{abs(value):.3f}"


def effect_interval(score: str, effect: Effect | CrossedEffect) -> str:
    """Return text such as '95% interval -0.4 to +3.8 points', or the reason why there is no interval."""
    if effect.low is None or effect.high is None:
        return f"no interval: {effect.note}" if effect.note else "no interval"
    low, high = (f"{v * 100:+.1f}" if score in POINTS else f"{v:+.3f}" for v in (effect.low, effect.high))
    return f"{effect.confidence:.0%} interval {low} to {high}{' points' if score in POINTS else ''}"


def p_value(effect: CrossedEffect) -> str:
    """Return the p-value over patients and runs, corrected if available; '' if there is none or too few of either."""
    p = effect.p if effect.p_adjusted is None else effect.p_adjusted
    few = effect.patients < MIN_PATIENTS or min(effect.runs, effect.reference_runs) < MIN_SEEDS
    return "" if p is None or few else p_text(p)


def better_text(effect: CrossedEffect) -> str:
    """Return the probability that the true difference is above zero, such as '97%'; '' if there is none."""
    if effect.better is None:
        return ""
    if effect.better > 0.99:
        return "over 99%"
    return "under 1%" if effect.better < 0.01 else f"{effect.better:.0%}"


def study_size(effect: CrossedEffect, units: str) -> str:
    """Return what a comparison rests on: '12 patients, 5 seeds and 1 generator'."""
    generators = effect.generators
    seeds = counted(effect.runs // max(generators, 1), "seeds")
    if generators > 1:
        return f"{counted(effect.patients, units)} and {seeds} of each of {generators} generators"
    return f"{counted(effect.patients, units)}" + (f", {seeds} and 1 generator" if generators else f" and {seeds}")
