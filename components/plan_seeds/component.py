"""The component `plan_seeds`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_seeds"), install_kfp_package=False)
def plan_seeds(
    method: str,
    seed: int = 0,
    seeds: int = 3,
    overrides: dict = {},
) -> list:
    """List the trainings of one generator with several seeds, for a loop inside a loop over generators.

    Args:
        method: name of the generator method.
        seed: seed of the first training; the next have seed + 1, seed + 2, …
        seeds: number of trainings.
        overrides: values for parameters of train_generator, the same for all seeds.

    Returns:
        Output: method, overrides and seed of each training.
    """
    from histoforge.tasks.small_tasks import run_plan_seeds

    return run_plan_seeds(method, seed, seeds, overrides)
