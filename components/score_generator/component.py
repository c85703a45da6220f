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
    overviews: dsl.Input[dsl.Dataset] = None,
    name: str = "",
    count: int = 0,
    generations: int = 0,
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Draw patches from a generator, and compute all scores that the leaderboard shows.

    Args:
        patches: patch set of real patches; its test split is not read.
        generator: trained generator of any method, or a set of synthetic patches in its place.
        extractor: classifier trained on real patches, or its arm (then all its seeds).
        overviews: overviews, with which those of a generator of two levels are compared.
        name: name under which the leaderboard groups seeds; '' for the method's name.
        count: number of synthetic patches; 0 leaves it to the preset.
        generations: number of independent draws, over which the metrics have a mean and a deviation; 0 leaves it to
            the preset.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        samples: patch set of the synthetic patches.
        scores: scores, features for maps, a picture and the generator's history.
        metrics: FID, KID, precision, recall, path lengths, diversity, time and memory.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "score_generator",
        preset=preset,
        overrides=overrides,
        given={"name": name, "count": count, "generations": generations, "seed": seed},
        inputs={"patches": patches, "generator": generator, "extractor": extractor, "overviews": overviews},
        outputs={"samples": samples, "scores": scores},
        metrics=metrics,
        summary=summary,
    )
