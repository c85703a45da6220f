"""The component `publish_model`."""

from typing import List, Optional

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("publish_model"), install_kfp_package=False)
def publish_model(
    patches: dsl.Input[dsl.Dataset],
    publication: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    challenger: dsl.Input[dsl.Model] = None,
    challengers: Optional[dsl.Input[List[dsl.Model]]] = None,
    results: dsl.Input[dsl.Artifact] = None,
    models: str = "",
    name: str = "classifier",
    score: str = "",
    margin: float = 0.0,
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
) -> bool:
    """Publish a classifier if it is better than the published one, or not worse by more than a margin.

    Args:
        patches: patch set that the challenger was trained on; its test split compares champion and challenger.
        challenger: arm or classifier to publish.
        challengers: an arm of several folds or generators, as collected from a loop: that of the first is published.
        models: location of the published models, such as 's3://pathology/models'.
        results: results of the evaluation of the challenger, for the memorisation audit of its synthetic patches.
        name: name of the published model, shared by champion and challenger.
        score: score by which they are compared, such as 'accuracy'; '' leaves it to the preset.
        margin: how much worse than the champion the challenger may be; 0 leaves it to the preset and the overrides,
            and if they do not set it, only a better challenger passes.
        seed: seed of the bootstrap; -1 leaves it to the preset and the overrides.
        preset: name of a preset, also named in the model card; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        publication: the decision and the model card.
        metrics: the challenger's score and its difference from the champion.
        summary: the decision as a table.
        Output: True if the challenger is now the champion.
    """
    from histoforge.tasks.step_task import run_step

    return run_step(
        "publish_model",
        preset=preset,
        overrides=overrides,
        given={"models": models, "name": name, "score": score, "margin": margin, "trained_with": preset, "seed": seed},
        inputs={"patches": patches, "challenger": [challenger, *(challengers or [])], "results": results},
        outputs={"publication": publication},
        metrics=metrics,
        summary=summary,
    ).published
