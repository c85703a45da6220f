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
    control_ratio: float = 0.0,
    augmentation: str = "",
    backbone: str = "",
    seeds: int = 0,
    checkpoints: str = "",
    seed: int = -1,
    factors: list = [],
    fold: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Train the classifiers of one arm, one per seed, with or without synthetic patches.

    Args:
        patches: patch set of real patches; its test split is not read.
        synthetic: patch set of synthetic patches to add to the training split, or to train on instead.
        arm: name of the arm, such as 'baseline' or 'selective'.
        use: patches to train on: 'both', 'real', 'synthetic', or 'control' (real ones that preprocess held back, in
            place of synthetic ones); '' leaves it to the preset.
        control_ratio: held-back patches per real training patch, for 'control'; 0 leaves it to the preset.
        augmentation: 'none' or 'traditional' (flips and colour jitter); '' leaves it to the preset.
        backbone: network, such as 'resnet34'; '' leaves it to the preset.
        seeds: number of classifiers to train; 0 leaves it to the preset.
        checkpoints: folder or s3:// prefix for checkpoints, from which a retry on another node continues; '' for none.
        seed: seed of the first classifier; the next have seed + 1, seed + 2, …; -1 leaves it to the preset and the
            overrides.
        factors: what sets the arm apart in a study of factors, such as 'kind=selective', 'ratio=0.5' and 'pool=4', or
            'backbone=resnet34'.
        fold: fold of the patch set to train on, counted from 0; -1 for a patch set with a single split.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        model: the arm, with one classifier per seed.
        metrics: means over the seeds on the validation split.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "train_classifier",
        preset=preset,
        overrides=overrides,
        given={
            "arm": arm,
            "use": use,
            "control_ratio": control_ratio,
            "augmentation": augmentation,
            "backbone": backbone,
            "seeds": seeds,
            "checkpoints": checkpoints,
            "seed": seed,
            "factors": factors,
            "fold": fold,
        },
        inputs={"patches": patches, "synthetic": synthetic},
        outputs={"model": model},
        metrics=metrics,
        summary=summary,
    )
