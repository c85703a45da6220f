"""The component `predict`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("predict"), install_kfp_package=False)
def predict(
    model: dsl.Input[dsl.Model],
    predictions: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    source: str = "",
    dataset_digest: str = "",
    slide_mpp: float = 0.0,
    checkpoints: str = "",
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Predict whole slides with a trained classifier, and write maps for QuPath and tables.

    Args:
        model: classifier, or arm (then its lowest seed).
        source: folder, or s3:// or minio:// prefix, of the slides; required.
        dataset_digest: digest of the source, from scan_source; if it changes, cached predictions are not reused.
        slide_mpp: resolution of slides whose file does not state it, um/px; 0 if it is unknown.
        checkpoints: location to copy finished slides to, from which a retried task goes on; '' for none.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        predictions: GeoJSON of tiles and regions and a heat map for each slide, and tables by slide and by patient.
        metrics: numbers of slides, patients and patches by predicted class.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "predict",
        preset=preset,
        overrides=overrides,
        given={"source": source, "slide_mpp": slide_mpp, "checkpoints": checkpoints, "seed": seed},
        inputs={"model": model},
        outputs={"predictions": predictions},
        metrics=metrics,
        summary=summary,
    )
