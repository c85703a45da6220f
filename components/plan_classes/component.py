"""The component `plan_classes`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_classes"), install_kfp_package=False)
def plan_classes(
    patches: dsl.Input[dsl.Dataset],
    method: str,
    reward: str = "",
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
) -> list:
    """List the trainings of a generator: one per class if its method trains one network per class.

    Args:
        patches: patch set of real patches, which has the classes.
        method: name of the generator method.
        reward: reward of a method with rewards; '' leaves it to the preset.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for parameters of the pipeline's steps, by 'step.parameter'.

    Returns:
        Output: method, reward, seed and only_class of each training.
    """
    from histoforge.tasks.small_tasks import run_plan_classes

    return run_plan_classes(patches, {"method": method, "reward": reward, "seed": seed}, preset, overrides)
