"""The component `plan_benchmark`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_benchmark"), install_kfp_package=False)
def plan_benchmark(
    methods: list = ["dcgan"],
    generator_seeds: int = 3,
    downstream_seeds: int = 0,
    patch_size: str = "",
    source: str = "",
    entrants: list = [],
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
) -> list:
    """List the generators that a benchmark trains or imports, and check their settings, files and classes.

    Do not cache it, because its digests make the pipeline import again what has changed at the same location.

    Args:
        methods: names of methods; one with rewards may name one, as 'rleo:literal'.
        generator_seeds: number of generators to train with each method.
        downstream_seeds: number of classifiers to train on each generator's patches; 0 leaves it to the preset.
        patch_size: height and width of a patch, px: '96', or '256x128'; '' leaves it to the preset.
        source: folder, or s3:// or minio:// prefix, of the real slides or images; only entrants need it.
        entrants: folders, or s3:// or minio:// prefixes, of generators or synthetic images that somebody else made.
        seed: seed of each method's first generator; the next have seed + 1, seed + 2, …; -1 leaves it to the preset and
            the overrides.
        preset: name of a preset; '' for none.
        overrides: values for parameters of the pipeline's steps, by 'step.parameter'.

    Returns:
        Output: title, method, reward, seed and names of the two arms of each run; the step that trains or imports its
            generator, with its overrides; and source and digest of what is imported.
    """
    from histoforge.tasks.small_tasks import run_plan_benchmark

    return run_plan_benchmark(
        methods, generator_seeds, seed, preset, overrides, downstream_seeds, patch_size, source, entrants
    )
