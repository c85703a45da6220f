"""The component `plan_study`."""

from typing import NamedTuple

from histoforge_components.image import IMAGE
from kfp import dsl


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def plan_study(
    ratios: list = [0.5, 1.0],
    pool_multiples: list = [4.0, 8.0],
    fractions: list = [0.5],
) -> NamedTuple("Plan", [("cells", list), ("fractions", list), ("largest_pool", float)]):
    """List the arms of an augmentation study.

    Args:
        ratios: kept patches for each real training patch (r).
        pool_multiples: candidates for each real training patch; each is combined with each ratio that is not larger.
        fractions: parts of the training patches to train on.

    Returns:
        cells: arm, ratio and pool_multiple of each cell of ratios x pools.
        fractions: train_fraction and the names of the two arms of each fraction.
        largest_pool: the largest pool, which all cells choose from.
    """
    from histoforge.steps.component import run_plan

    return run_plan(ratios, pool_multiples, fractions)
