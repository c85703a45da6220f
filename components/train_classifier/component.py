"""The component `train_classifier`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("train_classifier"), install_kfp_package=False)
def train_classifier(
    patches: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    synthetic: dsl.Input[dsl.Dataset] = None,
    arm: str = "baseline",
    use: str = "",
    augmentation: str = "",
    seeds: int = 0,
    checkpoints: str = "",
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
):
    """Train the classifiers of one arm, one a seed, with or without synthetic patches.

    Args:
        patches: patch set of real patches; its test split is not read.
        synthetic: patch set of synthetic patches to add to the training split, or to train on alone.
        arm: name of the arm, such as 'baseline' or 'selective'.
        use: 'both', 'real' or 'synthetic' patches to train on; '' as the preset says.
        augmentation: 'none' or 'traditional' (flips and colour jitter); '' as the preset says.
        seeds: classifiers to train; 0 as the preset says.
        checkpoints: folder or s3:// prefix to copy checkpoints to, so that a retry on another node goes on from there.
        seed: of the first classifier; the others follow.
        preset: name of a preset; '' for none.
        overrides: any other parameter of the step to its value.

    Returns:
        model: the arm: a classifier a seed.
        metrics: means over the seeds on the validation split.
        summary: the same as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "train_classifier",
        preset=preset,
        overrides=overrides,
        given={
            "arm": arm,
            "use": use,
            "augmentation": augmentation,
            "seeds": seeds,
            "checkpoints": checkpoints,
            "seed": seed,
        },
        inputs={"patches": patches, "synthetic": synthetic},
        outputs={"model": model},
        metrics=metrics,
        summary=summary,
    )
