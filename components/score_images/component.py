"""The component `score_images`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("score_images"), install_kfp_package=False)
def score_images(
    patches: dsl.Input[dsl.Dataset],
    images: dsl.Input[dsl.Dataset],
    extractor: dsl.Input[dsl.Model],
    scores: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    guide: dsl.Input[dsl.Model] = None,
    name: str = "",
    generations: int = 0,
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Score synthetic large images against real ones, as a whole and by tiles at full resolution.

    Args:
        patches: patch set of real large images; its test split is not read.
        images: patch set of synthetic images of the same size, from synthesise_images.
        extractor: classifier trained on real patches, or its arm.
        guide: guide that searches the images for repeated tissue; without it they are not searched.
        name: name of the images in the report's tables; '' names how they were drawn.
        generations: number of groups over which the metrics have a mean and a deviation; 0 leaves it to the preset.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        scores: the scores, and pictures of some images.
        metrics: FID, KID, precision and recall at both scales, seams, and repeated tissue.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "score_images",
        preset=preset,
        overrides=overrides,
        given={"name": name, "generations": generations, "seed": seed},
        inputs={"patches": patches, "images": images, "extractor": extractor, "guide": guide},
        outputs={"scores": scores},
        metrics=metrics,
        summary=summary,
    )
