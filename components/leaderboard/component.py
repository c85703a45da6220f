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
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
):
    """Set generators side by side over seeds, with what classifiers learnt from their patches.

    Args:
        patches: patch set of real patches that all generators were trained on.
        scores: what score_generator wrote of each generator, as a loop collects it.
        arms: classifiers trained on the samples of a generator, as a loop collects them.
        both_arms: more such classifiers, such as those trained with the real patches too.
        guide: the guide of guided methods, for its report.
        baseline: classifiers trained on the real patches alone.
        seed: of all random choices.
        preset: name of a preset; '' for none.
        overrides: any other parameter of the step to its value.

    Returns:
        report: one HTML page that opens without a network.
        results: all results, one JSON file.
        metrics: means and deviations over seeds of each method.
        summary: the answer and the leaderboard.
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
