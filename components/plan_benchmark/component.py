"""The component `plan_benchmark`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_benchmark"), install_kfp_package=False)
def plan_benchmark(
    methods: list = ["dcgan"],
    generator_seeds: int = 3,
    downstream_seeds: int = 0,
    patch_size: str = "",
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
) -> list:
    """List the generators that a benchmark trains, and check what it asks of their trainings.

    Args:
        methods: names of methods; one with rewards may name one, as 'rleo:literal'.
        generator_seeds: generators to train by each method.
        downstream_seeds: classifiers to train with each generator's patches; 0 as the preset says.
        patch_size: height and width of a patch, px: '96', or '256x128'; '' as the preset says.
        seed: of the first generator; the others follow.
        preset: name of a preset; '' for none.
        overrides: 'step.parameter' to value, for any step of the pipeline.

    Returns:
        Output: title, method, reward, seed and the names of the two arms of each run.
    """
    from histoforge.tasks.small_tasks import run_plan_benchmark

    return run_plan_benchmark(methods, generator_seeds, seed, preset, overrides, downstream_seeds, patch_size)
