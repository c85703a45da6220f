"""The component `plan_fractions`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_fractions"), install_kfp_package=False)
def plan_fractions(fractions: list = [0.5]) -> list:
    """List the arms of a study with fewer training patches.

    Args:
        fractions: fractions of the training patches to train on.

    Returns:
        Output: train_fraction and names of the two arms of each fraction.
    """
    from histoforge.tasks.small_tasks import run_plan_fractions

    return run_plan_fractions(fractions)
