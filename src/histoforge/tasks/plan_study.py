"""Plan the arms of an augmentation study: ratios x pool sizes (Xue et al. 2021, Fig. 12) and fractions (Table 2)."""

from collections.abc import Sequence
from typing import Any

from histoforge.core.errors import SettingsError

MOST_OF_A_CONTROL = 10
"""Largest `control_ratio` of `train_classifier`."""
MOST_CELLS = 40
"""Most arms of ratios and pools with several generators. All artifacts of a run are one argument of its last task, with
about 1 KiB each, and Linux takes 128 KiB. 40 such arms leave room for generators, pools and other arms."""


def plan_cells(ratios: Sequence[float], pool_multiples: Sequence[float], generators: int = 1) -> list[dict[str, Any]]:
    """Return the cells of a study: the combinations whose pool contains at least the patches to keep.

    Each cell has `ratio`, `pool_multiple`, the `arm`, such as `selective_r0_5_pool4n` (ratio 0.5, candidates 4 N), and
    its `factors` for `train_classifier`.

    Args:
        ratios, pool_multiples: numbers of kept patches and of candidates per real training patch.
        generators: number of generators of all folds, from whose patches each cell is trained.

    Raises:
        SettingsError: if a list is empty, a value is out of its bounds, no pool is large enough for any ratio, or there
            are too many arms.
    """
    ratios, pools = checked_numbers("ratios", ratios, 10), checked_numbers("pool_multiples", pool_multiples, 100)
    cells = [
        {
            "arm": f"selective_r{name_of_number(ratio)}_pool{name_of_number(pool)}n",
            "factors": ["kind=selective", f"ratio={ratio:g}", f"pool={pool:g}"],
            "ratio": ratio,
            "pool_multiple": pool,
        }
        for pool in pools
        for ratio in ratios
        if ratio <= pool
    ]
    if not cells:
        raise SettingsError(
            f"Each of the ratios is larger than each of the pool_multiples ({pools[-1]:g} at most): a pool must "
            "contain at least the patches to keep."
        )
    if generators > 1 and len(cells) * generators > MOST_CELLS:
        raise SettingsError(
            f"{len(cells)} combinations of ratios and pool_multiples for each of {generators} generators are "
            f"{len(cells) * generators} arms, and a study takes at most {MOST_CELLS}: lower folds or generator_seeds, "
            "or give fewer ratios or pool_multiples."
        )
    return cells


def plan_fractions(fractions: Sequence[float]) -> list[dict[str, Any]]:
    """Return the fractions of a study.

    Each has `train_fraction`, the names of its arms `baseline` and `selective`, such as `selective_10pct`, and their
    factors for `train_classifier`, `baseline_factors` and `selective_factors`.

    Raises:
        SettingsError: if a list is empty, or a value is out of its bounds.
    """
    plans = []
    for fraction in checked_numbers("fractions", fractions, 1):
        plan: dict[str, Any] = {"train_fraction": fraction}
        for kind in ("baseline", "selective"):
            plan[kind] = f"{kind}_{name_of_number(fraction * 100)}pct"
            plan[f"{kind}_factors"] = [f"kind={kind}", f"fraction={fraction:g}"]
        plans.append(plan)
    return plans


def plan_real_arms(doses: Sequence[float], share: float, ratio: float) -> list[dict[str, Any]]:
    """Return the arms of real patches besides the baseline: traditional augmentation, and the positive control.

    The control has one arm per dose, if patches are held back for it. Each arm has its name, `arm`, and the parameters
    of `train_classifier` in which they differ: `augmentation`, `use`, `control_ratio` and `factors`.

    Args:
        doses: numbers of held-back patches, as multiples of the number of synthetic patches; none for no control.
        share: share of the training patches that `preprocess` holds back.
        ratio: number of synthetic patches that `select_samples` keeps per real training patch.

    Raises:
        SettingsError: if a dose is out of its bounds.
    """
    traditional = {"arm": "traditional", "augmentation": "traditional", "use": "real", "control_ratio": 0.0}
    arms: list[dict[str, Any]] = [{**traditional, "factors": []}]
    for dose in checked_numbers("control_doses", doses, MOST_OF_A_CONTROL / ratio) if doses and share else []:
        name, factors = (
            ("control", []) if dose == 1 else (f"control_{name_of_number(dose)}", ["kind=control", f"dose={dose:g}"])
        )
        control = {"arm": name, "augmentation": "none", "use": "control", "control_ratio": dose * ratio}
        arms.append({**control, "factors": factors})
    return arms


def checked_numbers(name: str, values: Sequence[float], most: float) -> list[float]:
    """Return the distinct numbers of a list in ascending order.

    Raises:
        SettingsError: the list is empty, or a value is not above 0 or is above `most`.
    """
    try:
        numbers = sorted({float(value) for value in values})
    except (TypeError, ValueError):
        numbers = []
    if not numbers or not 0 < numbers[0] <= numbers[-1] <= most:
        raise SettingsError(f"'{name}' is {values!r}: give a list of numbers above 0 and up to {most:g}.")
    return numbers


def name_of_number(number: float) -> str:
    """Return a number as part of an arm's name, such as '0_5' for 0.5."""
    return f"{number:g}".replace(".", "_")
