"""The component `plan_classes`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_classes"), install_kfp_package=False)
def plan_classes(
    patches: dsl.Input[dsl.Dataset],
    method: str,
    reward: str = "",
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
) -> list:
    """List the trainings that make a generator: one a class where its method trains a network a class.

    Args:
        patches: patch set of real patches, whose classes are taken.
        method: the published way to generate.
        reward: of a method with rewards; '' as the preset says.
        seed: of all random choices.
        preset: name of a preset; '' for none.
        overrides: 'step.parameter' to value, for any step of the pipeline.

    Returns:
        Output: method, reward, seed and only_class of each.
    """
    from histoforge.tasks.small_tasks import run_plan_classes

    return run_plan_classes(patches, {"method": method, "reward": reward, "seed": seed}, preset, overrides)
