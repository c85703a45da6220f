"""The component `cut_slides`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("cut_slides"), install_kfp_package=False)
def cut_slides(
    source: str,
    cuts: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    slides: list = [],
    shard: str = "",
    slide_cache: str = "",
    dataset_digest: str = "",
    patch_size: str = "",
    mpp: float = 0.0,
    slide_mpp: float = 0.0,
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Cut a part of the slides of a source, which preprocess then joins into a patch set.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides.
        slides: the slides to cut, as scan_source lists them with their versions; [] for all.
        shard: name of this part in logs, such as '2 of 5'.
        slide_cache: folder, or s3:// or minio:// prefix, that keeps what was cut from each slide, so that only new or
            changed slides are cut again; '' for none.
        dataset_digest: digest of the source, from scan_source; if it changes, cached results are not reused.
        patch_size: height and width of a patch, px: '96', or '256x128'; '' leaves it to the preset.
        mpp: resolution of the patches, um/px; 0 leaves it to the preset.
        slide_mpp: resolution of slides whose file does not state it, um/px; 0 if it is unknown.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of preprocess, by name.

    Returns:
        cuts: the patches of each slide; with slide_cache, the list of the slides alone.
        metrics: numbers of slides that are cut, and of those that were in the cache.
        summary: the metrics as a table, and the skipped slides with the reasons.
    """
    from histoforge.tasks.cut_shard import cut_shard

    cut_shard(
        preset=preset,
        overrides=overrides,
        given={
            "source": source,
            "slides": slides,
            "shard": shard,
            "slide_cache": slide_cache,
            "patch_size": patch_size,
            "mpp": mpp,
            "slide_mpp": slide_mpp,
            "seed": seed,
        },
        outputs={"cuts": cuts},
        metrics=metrics,
        summary=summary,
    )
