"""The component `finetune_snn`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("finetune_snn"), install_kfp_package=False)
def finetune_snn(
    patches: dsl.Input[dsl.Dataset],
    guide: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    overviews: dsl.Input[dsl.Dataset] = None,
    weights: str = "",
    weights_sha256: str = "",
    checkpoints: str = "",
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Fine-tune the siamese guide (MFT-SNN) on overviews, then on patches, and report how well it separates them.

    Args:
        patches: patch set of real patches; it is trained on the training split and evaluated on the validation split.
        overviews: overviews of the slides, for the first stage; required unless the override stage1 is false.
        weights: path or s3:// address of torchvision's vgg16 weights to start from; '' leaves it to the preset.
        weights_sha256: expected SHA-256 of the weights file; '' skips the check.
        checkpoints: folder or s3:// prefix for checkpoints, from which a retry on another node continues; '' for none.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        guide: the guide, with its report guide.json and Grad-CAM pictures.
        metrics: pair accuracy, area under the ROC curve, similarity by level, and inference cost.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "finetune_snn",
        preset=preset,
        overrides=overrides,
        given={
            "weights": weights,
            "weights_sha256": weights_sha256,
            "checkpoints": checkpoints,
            "seed": seed,
        },
        inputs={"patches": patches, "overviews": overviews},
        outputs={"guide": guide},
        metrics=metrics,
        summary=summary,
    )
