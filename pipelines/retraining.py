"""Selective augmentation on a schedule: it trains if there are new slides, and publishes what passes the gate."""

from histoforge_components.evaluate.component import evaluate
from histoforge_components.find_news.component import find_news
from histoforge_components.publish_model.component import publish_model
from histoforge_components.record_source.component import record_source
from histoforge_components.train_classifier.component import train_classifier
from histoforge_pipelines.checking import Checked, check
from histoforge_pipelines.parameters import RunParameters, pipeline
from histoforge_pipelines.selective_augmentation import Selection, generate_and_select
from kfp import dsl


def _evaluate(checked: Checked, selection: Selection, selective: dsl.PipelineTask) -> dsl.PipelineTask:
    evaluation = evaluate(
        patches=selection.patches,
        baseline=selection.baseline,
        selective=selective.outputs["model"],
        generator=selection.generator,
        pool=selection.pool,
        selected=selection.selected,
        overviews=selection.overviews,
        **checked.testing,
    )
    return checked.assign(evaluation, "Evaluate and report")


@pipeline("retraining")
def retraining(
    run: RunParameters,
    state: str,
    models: str,
    model_name: str = "classifier",
    score: str = "accuracy",
    margin: float = 0.0,
    test_source: str = "",
):
    """If the source has changed since the last run: selective augmentation, then the gate of the published model.

    Args:
        run: the parameters of all pipelines.
        state: folder or s3:// prefix of the record of the last training.
        models: folder or s3:// prefix of the published models.
        model_name: name under which the classifier is published.
        score: score of the test patients by which champion and challenger are compared.
        margin: how much worse than the champion the challenger may be; 0 leaves it to the preset and the overrides,
            and if they do not set it, only a better challenger passes.
    """
    checked = check(run, test_source)
    change = find_news(
        dataset_digest=checked.scan.outputs["Output"],
        state=state,
        models=models,
        checkpoints=run.checkpoints,
        seeds=run.seeds,
        **run.slides,
        **run.settings,
    )
    checked.assign(change, "Look for new slides")

    with dsl.If(change.outputs["Output"] == True, name="New slides"):  # noqa: E712 - kfp records the comparison
        selection = generate_and_select(checked)
        selective = train_classifier(
            arm="selective", augmentation="none", synthetic=selection.selected, **selection.training
        )
        checked.assign(selective, "Train with selected patches")
        evaluation = _evaluate(checked, selection, selective)
        publication = publish_model(
            patches=selection.patches,
            challenger=selective.outputs["model"],
            results=evaluation.outputs["results"],
            models=models,
            name=model_name,
            score=score,
            margin=margin,
            **checked.settings("publish_model"),
        )
        checked.assign(publication, "Publish if it is better")
        recording = record_source(record=change.outputs["record"], state=state)
        checked.assign(recording, "Record the source").after(publication)
