"""The component `preprocess`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("preprocess"), install_kfp_package=False)
def preprocess(
    source: str,
    patches: dsl.Output[dsl.Dataset],
    overviews: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    dataset_digest: str = "",
    patch_size: str = "",
    mpp: float = 0.0,
    slide_mpp: float = 0.0,
    train_fraction: float = 0.0,
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
):
    """Cut slides or images into a patch set that is split by patient.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides or images.
        dataset_digest: digest of the source, from scan_source: a new one keeps old patches from being served from the
            cache.
        patch_size: height and width of a patch, px: '96', or '256x128'; '' as the preset says.
        mpp: resolution of the patches, um/px; 0 as the preset says.
        slide_mpp: resolution of slides whose file does not state it, um/px; 0 where it is not known.
        train_fraction: part of the training patches of each class to keep; 0 as the preset says.
        seed: of all random choices.
        preset: name of a preset; '' for none.
        overrides: any other parameter of the step to its value.

    Returns:
        patches: patch set, split by patient and stratified by class.
        overviews: patch set of shrunken slides, with a picture of tissue, grid and regions a slide.
        metrics: numbers of patches, patients and slides.
        summary: the same as a table, with the slides that were skipped and why.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "preprocess",
        preset=preset,
        overrides=overrides,
        given={
            "source": source,
            "patch_size": patch_size,
            "mpp": mpp,
            "slide_mpp": slide_mpp,
            "train_fraction": train_fraction,
            "seed": seed,
        },
        inputs={},
        outputs={"patches": patches, "overviews": overviews},
        metrics=metrics,
        summary=summary,
    )
