"""The component `join_generators`."""

from typing import List

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("join_generators"), install_kfp_package=False)
def join_generators(
    generators: dsl.Input[List[dsl.Model]],
    generator: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
):
    """Combine generators that were trained on one class each into one generator of all classes.

    Args:
        generators: generators of one method, one per class, trained on the same patch set with the same settings; a
            single generator of all classes is copied.

    Returns:
        generator: the generator of all classes, with the histories and pictures of its members.
        metrics: total patches, steps and seconds of all trainings.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "join_generators",
        preset="",
        overrides={},
        given={},
        inputs={"generators": generators},
        outputs={"generator": generator},
        metrics=metrics,
        summary=summary,
    )
