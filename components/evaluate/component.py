"""The component `evaluate`."""

from typing import List, Optional

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("evaluate"), install_kfp_package=False)
def evaluate(
    patches: dsl.Input[dsl.Dataset],
    baseline: dsl.Input[dsl.Model],
    report: dsl.Output[dsl.HTML],
    results: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    summary: dsl.Output[dsl.Markdown],
    traditional: dsl.Input[dsl.Model] = None,
    selective: dsl.Input[dsl.Model] = None,
    arms: Optional[dsl.Input[List[dsl.Model]]] = None,
    fraction_baselines: Optional[dsl.Input[List[dsl.Model]]] = None,
    fraction_selectives: Optional[dsl.Input[List[dsl.Model]]] = None,
    generator: dsl.Input[dsl.Model] = None,
    pool: dsl.Input[dsl.Dataset] = None,
    selected: dsl.Input[dsl.Dataset] = None,
    overviews: dsl.Input[dsl.Dataset] = None,
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
):
    """Compare the arms on the test split and write the report.

    Args:
        patches: patch set of real patches; its test split is read here and nowhere else.
        baseline: the arm that the others are compared with.
        traditional: arm with traditional augmentation.
        selective: arm with selected synthetic patches.
        arms: further arms, as a loop collects them.
        fraction_baselines: baselines trained on parts of the training patches.
        fraction_selectives: the arms with selected synthetic patches beside these.
        generator: the generator, for its curves and pictures.
        pool: scored candidate pool.
        selected: patch set of the kept synthetic patches.
        overviews: overviews of the slides, for their pictures.
        seed: of all random choices.
        preset: name of a preset; '' for none.
        overrides: any other parameter of the step to its value.

    Returns:
        report: one HTML page that opens without a network.
        results: all results, one JSON file.
        metrics: the scores of each arm and of the generator.
        classification: confusion matrix and ROC curve of the best arm.
        summary: the answer and the table of the study.
    """
    from histoforge.tasks.step_task import run_evaluate

    run_evaluate(
        preset=preset,
        overrides=overrides,
        given={"seed": seed},
        inputs={
            "patches": patches,
            "arms": [
                baseline,
                traditional,
                *(arms or []),
                selective,
                *(fraction_baselines or []),
                *(fraction_selectives or []),
            ],
            "generator": generator,
            "pool": pool,
            "selected": selected,
            "overviews": overviews,
        },
        outputs={"report": report, "metrics": results},
        metrics=metrics,
        classification=classification,
        summary=summary,
    )
