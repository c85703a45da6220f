"""The component `select_samples`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("select_samples"), install_kfp_package=False)
def select_samples(
    patches: dsl.Input[dsl.Dataset],
    extractor: dsl.Input[dsl.Model],
    selected: dsl.Output[dsl.Dataset],
    pool: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    generator: dsl.Input[dsl.Model] = None,
    candidates: dsl.Input[dsl.Dataset] = None,
    pool_in: dsl.Input[dsl.Dataset] = None,
    rule: str = "",
    ratio: float = 0.0,
    pool_multiple: float = 0.0,
    seed: int = -1,
    fold: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Draw a pool of candidates from a generator, or take given ones, score it, and keep what a rule chooses.

    Args:
        patches: patch set of real patches; its training split gives the counts and the class centroids.
        extractor: classifier or arm (then its lowest seed) that scores the candidates.
        generator: generator of the candidates; not needed if candidates or pool_in is given.
        candidates: patch set of synthetic patches, such as imported ones, to score and choose from.
        pool_in: pool of an earlier select_samples, so that several rules choose from the same candidates.
        rule: selection rule, such as 'entropy_centroid'; '' leaves it to the preset.
        ratio: number of kept patches per real training patch; 0 leaves it to the preset.
        pool_multiple: number of candidates per real training patch; 0 leaves it to the preset, or is 4 times ratio.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        fold: fold of the patch set whose training patches count, from 0; -1 for a patch set with a single split.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        selected: patch set of the kept synthetic patches, with their scores.
        pool: patch set of all candidates, with their scores.
        metrics: numbers of candidates and kept patches, and mean scores.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "select_samples",
        preset=preset,
        overrides=overrides,
        given={"rule": rule, "ratio": ratio, "pool_multiple": pool_multiple, "seed": seed, "fold": fold},
        inputs={
            "patches": patches,
            "extractor": extractor,
            "generator": generator,
            "candidates": candidates,
            "pool_in": pool_in,
        },
        outputs={"selected": selected, "pool": pool},
        metrics=metrics,
        summary=summary,
    )
