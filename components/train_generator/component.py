"""The component `train_generator`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("train_generator"), install_kfp_package=False)
def train_generator(
    patches: dsl.Input[dsl.Dataset],
    generator: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    extractor: dsl.Input[dsl.Model] = None,
    guide: dsl.Input[dsl.Model] = None,
    autoencoder: dsl.Input[dsl.Model] = None,
    latents: dsl.Input[dsl.Dataset] = None,
    method: str = "",
    reward: str = "",
    only_class: str = "",
    checkpoints: str = "",
    seed: int = -1,
    fold: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Train a generator of patches and keep the epoch whose patches look most like the real ones.

    Args:
        patches: patch set of real patches; only its training split is read.
        extractor: classifier or arm whose features choose the epoch by FID; without it the last epoch is kept.
        guide: guide that scores fakes during training, for methods that use one, such as 'rleo'.
        autoencoder: autoencoder of the latents, for methods that train on latents, such as 'pathup'.
        latents: latents of the patches, for methods that train on latents.
        method: name of the generator method, such as 'histogan'; '' leaves it to the preset.
        reward: reward that 'rleo' derives from the guide: 'policy', 'literal', …; '' leaves it to the preset.
        only_class: the only class to train, for a method with one network per class; '' trains all classes in turn.
        checkpoints: folder or s3:// prefix for checkpoints, from which a retry on another node continues; '' for none.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        fold: fold of the patch set to train on, counted from 0; -1 for a patch set with a single split.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        generator: the trained generator, with its history and pictures.
        metrics: FID of the chosen epoch, and numbers of epochs, steps and parameters.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "train_generator",
        preset=preset,
        overrides=overrides,
        given={
            "method": method,
            "reward": reward,
            "only_class": only_class,
            "checkpoints": checkpoints,
            "seed": seed,
            "fold": fold,
        },
        inputs={
            "patches": patches,
            "extractor": extractor,
            "guide": guide,
            "autoencoder": autoencoder,
            "latents": latents,
        },
        outputs={"generator": generator},
        metrics=metrics,
        summary=summary,
    )
