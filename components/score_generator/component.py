"""The component `score_generator`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("score_generator"), install_kfp_package=False)
def score_generator(
    patches: dsl.Input[dsl.Dataset],
    generator: dsl.Input[dsl.Model],
    extractor: dsl.Input[dsl.Model],
    samples: dsl.Output[dsl.Dataset],
    scores: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    name: str = "",
    count: int = 0,
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
):
    """Draw patches from a generator, keep them, and score them in every way that the leaderboard shows.

    Args:
        patches: patch set of real patches; its test split is not read.
        generator: trained generator of any method.
        extractor: classifier trained on real patches, or its arm (then all its seeds).
        name: under which the leaderboard groups seeds; '' is the method.
        count: synthetic patches; 0 as the preset says.
        seed: of all random choices.
        preset: name of a preset; '' for none.
        overrides: any other parameter of the step to its value.

    Returns:
        samples: patch set of the synthetic patches.
        scores: scores, features for maps, a picture and the generator's history.
        metrics: FID, KID, precision, recall, path lengths, diversity, seconds and memory.
        summary: the same as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "score_generator",
        preset=preset,
        overrides=overrides,
        given={"name": name, "count": count, "seed": seed},
        inputs={"patches": patches, "generator": generator, "extractor": extractor},
        outputs={"samples": samples, "scores": scores},
        metrics=metrics,
        summary=summary,
    )
