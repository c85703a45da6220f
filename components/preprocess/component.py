"""The component `preprocess`."""

from typing import List, Optional

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("preprocess"), install_kfp_package=False)
def preprocess(
    source: str,
    patches: dsl.Output[dsl.Dataset],
    overviews: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    cuts: Optional[dsl.Input[List[dsl.Dataset]]] = None,
    slide_cache: str = "",
    images_location: str = "",
    dataset_digest: str = "",
    patch_size: str = "",
    mpp: float = 0.0,
    slide_mpp: float = 0.0,
    train_fraction: float = 0.0,
    folds: int = 0,
    control_share: float = -1.0,
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Cut slides or images into a patch set that is split by patient.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides or images.
        cuts: slides that cut_slides has cut, one part per shard, as collected from a loop; the patch set is the same as
            without them. Slides that are in no part are cut here.
        slide_cache: folder, or s3:// or minio:// prefix, that keeps what was cut from each slide, so that only new or
            changed slides are cut again; '' for none.
        images_location: folder, or s3:// or minio:// prefix, that keeps the pixels of patches and overviews, for sets
            larger than a disk; '' to keep them with the sets.
        dataset_digest: digest of the source, from scan_source; if it changes, cached patches are not reused.
        patch_size: height and width of a patch, px: '96', or '256x128'; '' leaves it to the preset.
        mpp: resolution of the patches, um/px; 0 leaves it to the preset.
        slide_mpp: resolution of slides whose file does not state it, um/px; 0 if it is unknown.
        train_fraction: fraction of the training patches of each class to keep; 0 leaves it to the preset.
        folds: number of folds of a cross-validation by patient; 0 leaves it to the preset, which has a single split.
        control_share: share of the training patients held back for a positive control; -1 leaves it to the preset and
            the overrides.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        patches: patch set, split by patient and stratified by class.
        overviews: patch set of shrunken slides, with a picture of tissue, grid and regions for each slide.
        metrics: numbers of patches, patients and slides.
        summary: patients and patches by split and class, warnings, and the skipped slides with the reasons.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "preprocess",
        preset=preset,
        overrides=overrides,
        given={
            "source": source,
            "slide_cache": slide_cache,
            "images_location": images_location,
            "patch_size": patch_size,
            "mpp": mpp,
            "slide_mpp": slide_mpp,
            "train_fraction": train_fraction,
            "folds": folds,
            "control_share": control_share,
            "seed": seed,
        },
        inputs={"cuts": cuts},
        outputs={"patches": patches, "overviews": overviews},
        metrics=metrics,
        summary=summary,
    )
