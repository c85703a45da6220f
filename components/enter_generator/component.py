"""The component `enter_generator`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("enter_generator"), install_kfp_package=False)
def enter_generator(
    patches: dsl.Input[dsl.Dataset],
    generator: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    extractor: dsl.Input[dsl.Model] = None,
    guide: dsl.Input[dsl.Model] = None,
    step: str = "train_generator",
    method: str = "",
    reward: str = "",
    source: str = "",
    dataset_digest: str = "",
    name: str = "",
    checkpoints: str = "",
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Train a generator, or import one, or a set of patches in its place, that somebody else made.

    A loop over the runs of `plan_benchmark` needs one task for both, because Kubeflow collects no outputs from a loop
    over an empty list or from tasks that a condition skips.

    Args:
        patches: patch set of real patches.
        extractor: classifier or arm whose features choose the epoch of a training.
        guide: guide that scores fakes during training, for methods that use one.
        step: 'train_generator', 'import_generator', or 'import_patches' for a set of patches.
        method: method to train; '' leaves it to the preset.
        reward: variant of the method; '' leaves it to the preset.
        source: folder, or s3:// or minio:// prefix, of what is imported.
        dataset_digest: digest of the source; if it changes, a cached result is not reused.
        name: short name of what is imported.
        checkpoints: folder or s3:// prefix for checkpoints, from which a retry on another node continues; '' for none.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        generator: the generator, or the patch set.
        metrics: numbers of the training or the import.
        summary: the metrics as a table.
    """
    from histoforge.tasks.enter_generator import run_enter_generator

    run_enter_generator(
        step,
        {
            "method": method,
            "reward": reward,
            "source": source,
            "name": name,
            "checkpoints": checkpoints,
            "seed": seed,
        },
        preset=preset,
        overrides=overrides,
        inputs={"patches": patches, "extractor": extractor, "guide": guide},
        generator=generator,
        metrics=metrics,
        summary=summary,
    )
