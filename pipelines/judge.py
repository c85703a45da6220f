"""Do synthetic patches of any origin help a classifier? Judged as those of the project's own generators are."""

from collections.abc import Mapping
from typing import Any, List, NamedTuple

from histoforge_components.evaluate.component import evaluate
from histoforge_components.import_patches.component import import_patches
from histoforge_components.plan_judge.component import plan_judge
from histoforge_components.select_samples.component import select_samples
from histoforge_pipelines import resources
from histoforge_pipelines.checking import Checked, check
from histoforge_pipelines.cutting import cut_patches
from histoforge_pipelines.parameters import RunParameters, pipeline
from histoforge_pipelines.selective_augmentation import Drawing, train_baseline, train_on_real, training_inputs
from kfp import dsl

FIRST_RULE, OTHER_RULE = "entropy_centroid", "distance"
"""The rules that keep a fixed number of patches, whatever their quality."""


class Outputs(NamedTuple):
    """Outputs of the pipeline; lists are in the order of the folds and, within a fold, of the synthetic sets."""

    report: dsl.HTML
    metrics: dsl.Artifact
    patches: dsl.Dataset
    overviews: dsl.Dataset
    synthetic: List[dsl.Dataset]
    pool: List[dsl.Dataset]
    baseline: List[dsl.Model]
    real_arms: List[dsl.Model]
    as_is: List[dsl.Model]
    entropy_centroid: List[dsl.Model]
    distance: List[dsl.Model]


def import_and_select(
    checked: Checked, training: Mapping[str, Any], fold: Any, entrant: Any, extractor: Any
) -> Drawing:
    """Import a synthetic set, and score and select its patches with the extractor of a fold.

    Args:
        checked: the pipeline's parameters, after `scan_source`.
        training: the inputs of the fold's classifiers.
        fold, entrant: the items of the loops.
        extractor: the fold's baseline.
    """
    patches = training["patches"]
    importing = import_patches(
        source=entrant.source,
        dataset_digest=entrant.digest,
        name=entrant.title,
        patches=patches,
        **checked.settings("import_patches"),
    )
    checked.assign(importing, "Import synthetic patches")
    synthetic = importing.outputs["synthetic"]
    inputs = {"patches": patches, "extractor": extractor, "fold": fold.fold, **checked.settings("select_samples")}
    selecting = select_samples(candidates=synthetic, rule=FIRST_RULE, **inputs)
    checked.assign(selecting, "Score and select patches")
    return Drawing(
        checked=checked,
        fold=fold,
        inputs=inputs,
        training=training,
        generator=synthetic,
        pool=selecting.outputs["pool"],
        selected=selecting.outputs["selected"],
    )


@pipeline("judge")
def judge(
    run: RunParameters,
    synthetic: list = [],
    test_source: str = "",
    folds: int = 0,
    control_doses: list = [0.5, 1.0],
) -> Outputs:
    """Compare classifiers that were trained with and without synthetic patches that somebody else made.

    Args:
        run: the parameters of all pipelines.
        synthetic: folders, or s3:// or minio:// prefixes, of synthetic images by class, of images with a labels.csv, or
            of patch sets; each is judged as it is and after each selection rule.
        folds: number of parts for cross-validation, at least 2: every patient is tested once, and selection and
            classifiers are trained in each fold, at that many times the cost; 0 leaves it to the preset, which has a
            single split.
        control_doses: numbers of held-back real patches that take the place of the synthetic ones in the positive
            control, as multiples of the number of synthetic patches; each is an arm, and together they show how many
            real patches the synthetic ones were worth. They need control_share of preprocess, which the presets
            quickstart, sane and demo set; [] for none.
    """
    checked = check(run, test_source, folds, control_doses=control_doses)
    plan = plan_judge(
        source=run.source, synthetic=synthetic, rules=[FIRST_RULE, OTHER_RULE], folds=folds, **run.settings
    )
    checked.assign(plan, "Check the synthetic sets")
    cutting = cut_patches(checked, after=[plan], folds=folds)
    patches = cutting.outputs["patches"]
    with dsl.ParallelFor(checked.folds, name="Folds", parallelism=resources.AT_ONCE) as fold:
        training = training_inputs(checked, patches, fold)
        baseline = train_baseline(checked, training)
        with dsl.ParallelFor(checked.real_arms, name="Real patches", parallelism=resources.AT_ONCE_INSIDE) as real:
            real_arm = train_on_real(checked, training, real)
        with dsl.ParallelFor(plan.output, name="Synthetic sets", parallelism=resources.AT_ONCE_INSIDE) as entrant:
            entered = import_and_select(checked, training, fold, entrant, baseline)
            first = entered.train(entrant.entropy_centroid, entered.selected, "Train with selected patches")
            as_is = entered.train_by_rule(entrant.as_is, "random", "as they are")
            other = entered.train_by_rule(entrant.distance, OTHER_RULE, "by distance")

    evaluation = evaluate(
        patches=patches,
        baselines=dsl.Collected(baseline),
        real_arms=dsl.Collected(real_arm),
        gans=dsl.Collected(as_is),
        single_filters=dsl.Collected(other),
        selectives=dsl.Collected(first),
        pools=dsl.Collected(entered.pool),
        overviews=cutting.outputs["overviews"],
        **checked.testing,
    )
    checked.assign(evaluation, "Evaluate and report")
    return Outputs(
        report=evaluation.outputs["report"],
        metrics=evaluation.outputs["results"],
        patches=patches,
        overviews=cutting.outputs["overviews"],
        synthetic=dsl.Collected(entered.generator),
        pool=dsl.Collected(entered.pool),
        baseline=dsl.Collected(baseline),
        real_arms=dsl.Collected(real_arm),
        as_is=dsl.Collected(as_is),
        entropy_centroid=dsl.Collected(first),
        distance=dsl.Collected(other),
    )
