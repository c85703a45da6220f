"""Selective augmentation on a schedule: it trains if there are new slides, and publishes what passes the gate."""

from histoforge_components.evaluate.component import evaluate
from histoforge_components.find_news.component import find_news
from histoforge_components.publish_model.component import publish_model
from histoforge_components.record_source.component import record_source
from histoforge_pipelines import resources
from histoforge_pipelines.checking import check
from histoforge_pipelines.cutting import cut_patches
from histoforge_pipelines.parameters import RunParameters, pipeline
from histoforge_pipelines.selective_augmentation import draw_and_select, train_baseline, train_on_real, training_inputs
from kfp import dsl


@pipeline("retraining")
def retraining(
    run: RunParameters,
    state: str,
    models: str,
    model_name: str = "classifier",
    score: str = "auto",
    margin: float = 0.0,
    test_source: str = "",
    folds: int = 0,
    generator_seeds: int = 1,
    control_doses: list = [0.5, 1.0],
):
    """If the source has changed since the last run: selective augmentation, then the gate of the published model.

    Args:
        run: the parameters of all pipelines.
        state: folder or s3:// prefix of the record of the last training.
        models: folder or s3:// prefix of the published models.
        model_name: name under which the classifier is published.
        score: score of the test patients by which champion and challenger are compared; 'auto' is accuracy if the
            classes are even, else balanced accuracy.
        margin: how much worse than the champion the challenger may be; 0 leaves it to the preset and the overrides,
            and if they do not set it, only a better challenger passes.
        folds: number of parts for cross-validation, at least 2; the report speaks of the patients of all folds, and the
            classifiers of the first fold are published if they pass the gate. 0 leaves it to the preset, which has a
            single split.
        generator_seeds: number of generators to train (in each fold), with the seeds seed, seed + 1, …; the classifiers
            of the first one are published.
        control_doses: numbers of held-back real patches that take the place of the synthetic ones in the positive
            control, as multiples of the number of synthetic patches; each is an arm, and together they show how many
            real patches the synthetic ones were worth. They need control_share of preprocess, which the presets
            quickstart, sane and demo set; [] for none.
    """
    checked = check(run, test_source, folds, generator_seeds, control_doses)
    change = find_news(
        dataset_digest=checked.scan.outputs["Output"],
        state=state,
        models=models,
        checkpoints=run.checkpoints,
        seeds=run.seeds,
        folds=folds,
        generator_seeds=generator_seeds,
        **run.slides,
        **run.settings,
    )
    checked.assign(change, "Look for new slides")

    with dsl.If(change.outputs["Output"] == True, name="New slides"):  # noqa: E712 - kfp records the comparison
        cutting = cut_patches(checked, folds=folds)
        patches = cutting.outputs["patches"]
        with dsl.ParallelFor(checked.folds, name="Folds", parallelism=resources.AT_ONCE) as fold:
            training = training_inputs(checked, patches, fold)
            baseline = train_baseline(checked, training)
            with dsl.ParallelFor(checked.real_arms, name="Real patches", parallelism=resources.AT_ONCE_INSIDE) as real:
                real_arm = train_on_real(checked, training, real)
            with dsl.ParallelFor(
                checked.generators, name="Generators", parallelism=resources.AT_ONCE_INSIDE
            ) as generator:
                drawing = draw_and_select(checked, training, fold, generator, baseline)
                selective = drawing.train("selective", drawing.selected, "Train with selected patches")
        evaluation = evaluate(
            patches=patches,
            baselines=dsl.Collected(baseline),
            real_arms=dsl.Collected(real_arm),
            selectives=dsl.Collected(selective),
            generators=dsl.Collected(drawing.generator),
            pools=dsl.Collected(drawing.pool),
            overviews=cutting.outputs["overviews"],
            **checked.testing,
        )
        checked.assign(evaluation, "Evaluate and report")
        publication = publish_model(
            patches=patches,
            challengers=dsl.Collected(selective),
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
