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
    method: str = "",
    reward: str = "",
    only_class: str = "",
    checkpoints: str = "",
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
):
    """Train a generator of patches and keep the epoch whose patches look most like the real ones.

    Args:
        patches: patch set of real patches; its training split alone is read.
        extractor: classifier or arm whose features choose the epoch by FID; without it the last epoch is kept.
        guide: guide that scores fakes while they are trained, for the methods that have one, such as 'rleo'.
        method: the published way to generate, such as 'histogan'; '' as the preset says.
        reward: how the guide enters, for 'rleo': 'policy', 'literal', …; '' as the preset says.
        only_class: class to train alone, for a method with a network a class; '' trains all, one after the other.
        checkpoints: folder or s3:// prefix to copy checkpoints to, so that a retry on another node goes on from there.
        seed: of all random choices.
        preset: name of a preset; '' for none.
        overrides: any other parameter of the step to its value.

    Returns:
        generator: the trained generator, with its history and pictures.
        metrics: FID of the chosen epoch, epochs, steps, parameters.
        summary: the same as a table.
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
        },
        inputs={"patches": patches, "extractor": extractor, "guide": guide},
        outputs={"generator": generator},
        metrics=metrics,
        summary=summary,
    )
