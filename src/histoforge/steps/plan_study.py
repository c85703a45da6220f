"""Which arms an augmentation study has: ratios x pool sizes (Xue et al. 2021, Fig. 12) and fractions (Table 2)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from histoforge.core.errors import SettingsError


class Plan(NamedTuple):
    """The arms of a study.

    Attributes:
        cells: `arm`, `ratio` and `pool_multiple` of each combination.
        fractions: `train_fraction`, and the names of its arms as `baseline` and `selective`.
        largest_pool: candidates for each real training patch in the pool that all cells choose from.
    """

    cells: list[dict[str, Any]]
    fractions: list[dict[str, Any]]
    largest_pool: float


def run(ratios: Sequence[float], pool_multiples: Sequence[float], fractions: Sequence[float]) -> Plan:
    """Name the arms.

    Raises:
        SettingsError: an empty list, a value out of its bounds, or no ratio that is smaller than a pool.
    """
    ratios = _checked("ratios", ratios, 10)
    pools = _checked("pool_multiples", pool_multiples, 100)
    parts = _checked("fractions", fractions, 1)
    cells = [
        {"arm": f"selective_r{_text(r)}_pool{_text(p)}n", "ratio": r, "pool_multiple": p}
        for p in pools
        for r in ratios
        if r <= p
    ]
    if not cells:
        raise SettingsError(
            f"Each of the ratios is larger than each of the pool_multiples ({pools[-1]:g} at most): a pool must hold "
            "at least what is kept of it."
        )
    percents = [(part, f"{_text(part * 100)}pct") for part in parts]
    named = [{"train_fraction": p, "baseline": f"baseline_{t}", "selective": f"selective_{t}"} for p, t in percents]
    return Plan(cells, named, pools[-1])


def _checked(name: str, values: Sequence[float], most: float) -> list[float]:
    try:
        numbers = sorted({float(value) for value in values})
    except (TypeError, ValueError):
        numbers = []
    if not numbers or numbers[0] <= 0 or numbers[-1] > most:
        raise SettingsError(f"'{name}' is {values!r}: give a list of numbers above 0 and up to {most:g}.")
    return numbers


def _text(number: float) -> str:
    return f"{number:g}".replace(".", "_")
