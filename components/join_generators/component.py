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
    """Make one generator of several that were trained side by side on one class each.

    Args:
        generators: generators of one method, trained on the same patch set with the same settings, one for each class;
            a single generator of all classes is handed on as it is.

    Returns:
        generator: the generator of all classes, with the histories and pictures of all.
        metrics: patches, steps and seconds of all trainings together.
        summary: the same as a table.
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
