"""The component `publish_model`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("publish_model"), install_kfp_package=False)
def publish_model(
    patches: dsl.Input[dsl.Dataset],
    challenger: dsl.Input[dsl.Model],
    publication: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    results: dsl.Input[dsl.Artifact] = None,
    models: str = "",
    name: str = "classifier",
    score: str = "",
    margin: float = 0.0,
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
) -> bool:
    """Publish a classifier where it is better than the published one, or not worse by a margin.

    Args:
        patches: patch set that the challenger was trained on; its test split compares champion and challenger.
        challenger: arm or classifier to publish.
        models: location of the published models, such as 's3://pathology/models'.
        results: results of the evaluation of the challenger, for the memorisation audit of its synthetic patches.
        name: what the model is published as; champion and challenger share it.
        score: score that they are compared in, such as 'accuracy'; '' as the preset says.
        margin: how much worse than the champion the challenger may be; 0 lets only a better one pass.
        seed: of the bootstrap.
        preset: name of a preset, also named in the model card; '' for none.
        overrides: any other parameter of the step to its value.

    Returns:
        publication: the decision and the model card.
        metrics: the challenger's score and its difference from the champion.
        summary: the decision as a table.
        Output: whether the challenger is the champion now.
    """
    from histoforge.tasks.step_task import run_step

    return run_step(
        "publish_model",
        preset=preset,
        overrides=overrides,
        given={"models": models, "name": name, "score": score, "margin": margin, "trained_with": preset, "seed": seed},
        inputs={"patches": patches, "challenger": challenger, "results": results},
        outputs={"publication": publication},
        metrics=metrics,
        summary=summary,
    ).published
