"""The component `join_classifiers`."""

from typing import List

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("join_classifiers"), install_kfp_package=False)
def join_classifiers(
    generators: dsl.Input[List[dsl.Model]],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    arm: str = "",
):
    """Collect the classifiers that were trained together with generators into one arm.

    Args:
        generators: generators of a method that also trains a classifier, such as vitgan, one per seed, trained on the
            same patch set with the same settings.
        arm: name of the arm in the report; '' for the method's name.

    Returns:
        model: the arm, which evaluate and publish_model treat like any other.
        metrics: seeds, mean validation accuracy and training time.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "join_classifiers",
        preset="",
        overrides={},
        given={"arm": arm},
        inputs={"generators": generators},
        outputs={"model": model},
        metrics=metrics,
        summary=summary,
    )
