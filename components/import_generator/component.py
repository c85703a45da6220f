"""The component `import_generator`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("import_generator"), install_kfp_package=False)
def import_generator(
    patches: dsl.Input[dsl.Dataset],
    generator: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    source: str = "",
    entry_point: str = "",
    dataset_digest: str = "",
    name: str = "",
    class_map: str = "",
    source_mpp: float = 0.0,
    fit: str = "",
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Turn a generator that somebody else trained into a generator like any other.

    Args:
        patches: patch set of real patches, whose classes, patch size and resolution the generator gets.
        source: folder, or s3:// or minio:// prefix, of a saved diffusers pipeline, of one such folder per class, of
            the .safetensors file of an installed package's generator, or of a model directory, which is copied.
        entry_point: name of a generator in the group histoforge.generators of an installed package; '' for none.
        dataset_digest: digest of the source; if it changes, a cached generator is not reused.
        name: short name, for arms and tables; '' for that of origin.yaml, or the folder's.
        class_map: real classes of the generator's classes whose names differ, as in 'tumor=tumour, norm=normal'.
        source_mpp: resolution of the images, um/px; 0 for the one that the source states.
        fit: 'crop' or 'shrink'; '' leaves it to the preset.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        generator: the generator.
        metrics: its size and number of parameters.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "import_generator",
        preset=preset,
        overrides=overrides,
        given={
            "source": source,
            "entry_point": entry_point,
            "name": name,
            "class_map": class_map,
            "source_mpp": source_mpp,
            "fit": fit,
            "seed": seed,
        },
        inputs={"patches": patches},
        outputs={"generator": generator},
        metrics=metrics,
        summary=summary,
    )
