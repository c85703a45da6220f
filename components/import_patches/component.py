"""The component `import_patches`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("import_patches"), install_kfp_package=False)
def import_patches(
    source: str,
    patches: dsl.Input[dsl.Dataset],
    synthetic: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    dataset_digest: str = "",
    name: str = "",
    class_map: str = "",
    source_mpp: float = 0.0,
    fit: str = "",
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Turn synthetic images that somebody else made into a synthetic patch set that fits the real one.

    Args:
        source: folder, or s3:// or minio:// prefix, of synthetic images by class, of images with a labels.csv, or of a
            patch set.
        patches: patch set of real patches, whose classes, patch size and resolution the synthetic ones get.
        dataset_digest: digest of the source, from plan_judge; if it changes, cached patches are not reused.
        name: short name of the set, for arms and tables; '' for that of origin.yaml, or the folder's.
        class_map: real classes of the source's classes whose names differ, as in 'tumor=tumour, norm=normal'.
        source_mpp: resolution of the images, um/px; 0 for that of origin.yaml or of the patch set.
        fit: 'crop' or 'shrink'; '' leaves it to the preset.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        synthetic: the synthetic patch set.
        metrics: numbers of patches by class and by codec.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "import_patches",
        preset=preset,
        overrides=overrides,
        given={
            "source": source,
            "name": name,
            "class_map": class_map,
            "source_mpp": source_mpp,
            "fit": fit,
            "seed": seed,
        },
        inputs={"patches": patches},
        outputs={"synthetic": synthetic},
        metrics=metrics,
        summary=summary,
    )
