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
    pool_in: dsl.Input[dsl.Dataset] = None,
    rule: str = "",
    ratio: float = 0.0,
    pool_multiple: float = 0.0,
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
):
    """Draw a pool of candidates from a generator, score it, and keep the patches that a rule chooses.

    Args:
        patches: patch set of real patches; its training split gives the counts and the class centroids.
        extractor: classifier or arm (then its lowest seed) that scores.
        generator: draws the candidates; not needed where pool_in is given.
        pool_in: pool of an earlier select_samples, so that several rules choose from the same candidates.
        rule: selection rule, such as 'entropy_centroid'; '' as the preset says.
        ratio: kept patches for each real training patch; 0 as the preset says.
        pool_multiple: candidates for each real training patch; 0 as the preset says, or 4 times ratio.
        seed: of all random choices.
        preset: name of a preset; '' for none.
        overrides: any other parameter of the step to its value.

    Returns:
        selected: patch set of the kept synthetic patches, with their scores.
        pool: patch set of all candidates, with their scores.
        metrics: numbers of candidates and kept patches, mean scores.
        summary: the same as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "select_samples",
        preset=preset,
        overrides=overrides,
        given={"rule": rule, "ratio": ratio, "pool_multiple": pool_multiple, "seed": seed},
        inputs={"patches": patches, "extractor": extractor, "generator": generator, "pool_in": pool_in},
        outputs={"selected": selected, "pool": pool},
        metrics=metrics,
        summary=summary,
    )
