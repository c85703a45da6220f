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
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
):
    """Fine-tune the siamese guide (MFT-SNN) on overviews, then on patches, and say how well it tells them apart.

    Args:
        patches: patch set of real patches; its training split trains, its validation split judges.
        overviews: overviews of the slides, for the first stage; needed unless the override stage1 is false.
        weights: path or s3:// address of torchvision's vgg16 weights to begin with; '' as the preset says.
        weights_sha256: SHA-256 that the weights file must have; '' is unchecked.
        checkpoints: folder or s3:// prefix to copy checkpoints to, so that a retry on another node goes on from there.
        seed: of all random choices.
        preset: name of a preset; '' for none.
        overrides: any other parameter of the step to its value.

    Returns:
        guide: the guide, with its report guide.json and Grad-CAM pictures.
        metrics: pair accuracy, area under the ROC curve, similarity by level, inference cost.
        summary: the same as a table.
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
