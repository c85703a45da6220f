"""The component `plan_cells`."""

from typing import NamedTuple

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_cells"), install_kfp_package=False)
def plan_cells(
    metrics: dsl.Output[dsl.Metrics],
    ratios: list = [0.5, 1.0],
    pool_multiples: list = [4.0, 8.0],
    folds: int = 0,
    generator_seeds: int = 1,
) -> NamedTuple("Plan", [("Output", list), ("largest_pool", float)]):
    """List the arms of a study that varies ratios and pool sizes.

    Args:
        ratios: numbers of kept patches per real training patch (r).
        pool_multiples: numbers of candidates per real training patch; each is combined with every ratio up to it.
        folds: number of folds in which the arms are trained; 0 for a single split.
        generator_seeds: number of generators of each fold, from whose patches each arm is trained.

    Returns:
        metrics: number of cells; the task's time and memory.
        Output: arm, ratio and pool_multiple of each cell.
        largest_pool: size of the largest pool, from which all cells choose.
    """
    from histoforge.tasks.small_tasks import run_plan_cells

    return run_plan_cells(ratios, pool_multiples, max(folds, 1) * generator_seeds, metrics)
