"""The component `plan_cells`."""

from typing import NamedTuple

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_cells"), install_kfp_package=False)
def plan_cells(
    metrics: dsl.Output[dsl.Metrics],
    ratios: list = [0.5, 1.0],
    pool_multiples: list = [4.0, 8.0],
) -> NamedTuple("Plan", [("Output", list), ("largest_pool", float)]):
    """List the arms of a study of ratios and pool sizes.

    Args:
        ratios: kept patches for each real training patch (r).
        pool_multiples: candidates for each real training patch; each is combined with each ratio that is not larger.

    Returns:
        metrics: number of cells, and the task's time and memory.
        Output: arm, ratio and pool_multiple of each cell.
        largest_pool: the largest pool, which all cells choose from.
    """
    from histoforge.tasks.small_tasks import run_plan_cells

    return run_plan_cells(ratios, pool_multiples, metrics)
