"""The component `leaderboard`."""

from typing import List, Optional

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("leaderboard"), install_kfp_package=False)
def leaderboard(
    patches: dsl.Input[dsl.Dataset],
    scores: dsl.Input[List[dsl.Artifact]],
    report: dsl.Output[dsl.HTML],
    results: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    arms: Optional[dsl.Input[List[dsl.Model]]] = None,
    both_arms: Optional[dsl.Input[List[dsl.Model]]] = None,
    guide: dsl.Input[dsl.Model] = None,
    baseline: dsl.Input[dsl.Model] = None,
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Rank generators over seeds by their scores and by the classifiers trained on their patches.

    Args:
        patches: patch set of real patches that all generators were trained on.
        scores: scores of each generator from score_generator, as collected from a loop.
        arms: classifiers trained on the samples of each generator, as collected from a loop.
        both_arms: more such classifiers, such as those also trained on the real patches.
        guide: guide of the guided methods, for its report.
        baseline: classifiers trained only on the real patches.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        report: the leaderboard, one HTML page that opens without a network connection.
        results: all results as one JSON file.
        metrics: mean and standard deviation over seeds of each method's scores.
        summary: the conclusion and the leaderboard.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "leaderboard",
        preset=preset,
        overrides=overrides,
        given={"seed": seed},
        inputs={
            "patches": patches,
            "scores": [*scores],
            "arms": [*(arms or []), *(both_arms or [])],
            "guide": guide,
            "baseline": baseline,
        },
        outputs={"report": report, "metrics": results},
        metrics=metrics,
        summary=summary,
    )
