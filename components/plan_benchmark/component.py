"""The component `plan_benchmark`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_benchmark"), install_kfp_package=False)
def plan_benchmark(
    methods: list = ["dcgan"],
    generator_seeds: int = 3,
    downstream_seeds: int = 0,
    patch_size: str = "",
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
) -> list:
    """List the generators that a benchmark trains, and check the settings of their trainings.

    Args:
        methods: names of methods; one with rewards may name one, as 'rleo:literal'.
        generator_seeds: number of generators to train with each method.
        downstream_seeds: number of classifiers to train on each generator's patches; 0 leaves it to the preset.
        patch_size: height and width of a patch, px: '96', or '256x128'; '' leaves it to the preset.
        seed: seed of each method's first generator; the next have seed + 1, seed + 2, …; -1 leaves it to the preset and
            the overrides.
        preset: name of a preset; '' for none.
        overrides: values for parameters of the pipeline's steps, by 'step.parameter'.

    Returns:
        Output: title, method, reward, seed and names of the two arms of each run.
    """
    from histoforge.tasks.small_tasks import run_plan_benchmark

    return run_plan_benchmark(methods, generator_seeds, seed, preset, overrides, downstream_seeds, patch_size)
