"""The component `synthesise_images`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("synthesise_images"), install_kfp_package=False)
def synthesise_images(
    generator: dsl.Input[dsl.Model],
    images: dsl.Output[dsl.Dataset],
    slides: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    guide: dsl.Input[dsl.Model] = None,
    upscaler_model: dsl.Input[dsl.Model] = None,
    size: str = "",
    images_per_class: int = 0,
    upscaler: str = "",
    checkpoints: str = "",
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Draw large images of each class from a generator of patches and overviews.

    Args:
        generator: generator of the method 'pathup', trained on patches and overviews.
        guide: guide that searches the images for repeated tissue; without it they are not searched.
        upscaler_model: output of train_upscaler, which enlarges the overviews with upscaler='trained'.
        size: size of an image in px, such as '2048', or height and width, such as '2048x1024'; '' leaves it to the
            preset.
        images_per_class: number of images of each class; 0 leaves it to the preset.
        upscaler: what enlarges an overview: 'tracking', which draws details into it, 'bicubic' interpolation, or
            'trained', the upscaler_model; '' leaves it to the preset.
        checkpoints: folder or s3:// prefix for finished images, from which a retry on another node continues; '' for
            none.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        images: patch set of the large images.
        slides: the images as slides with a slides.csv, if `write_slides` is among the overrides.
        metrics: seams, repeated tissue, and windows per second.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "synthesise_images",
        preset=preset,
        overrides=overrides,
        given={
            "size": size,
            "images_per_class": images_per_class,
            "upscaler": upscaler,
            "checkpoints": checkpoints,
            "seed": seed,
        },
        inputs={"generator": generator, "guide": guide, "upscaler_model": upscaler_model},
        outputs={"images": images, "slides": slides},
        metrics=metrics,
        summary=summary,
    )
