"""From slides to a report that tests whether selected synthetic patches helped (Xue et al. 2021)."""

from collections.abc import Mapping
from typing import Any, List, NamedTuple

from histoforge_components.evaluate.component import evaluate
from histoforge_components.preprocess.component import preprocess
from histoforge_components.select_samples.component import select_samples
from histoforge_components.train_classifier.component import train_classifier
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines.checking import Checked, check
from histoforge_pipelines.parameters import RunParameters, pipeline
from kfp import dsl

RULES = [{"arm": "gan", "rule": "random"}, {"arm": "single_filter", "rule": "distance"}]


class Outputs(NamedTuple):
    """Outputs of the pipeline."""

    report: dsl.HTML
    metrics: dsl.Artifact
    patches: dsl.Dataset
    overviews: dsl.Dataset
    generator: dsl.Model
    pool: dsl.Dataset
    selected: dsl.Dataset
    baseline: dsl.Model
    traditional: dsl.Model
    arms: List[dsl.Model]
    selective: dsl.Model


class Selection(NamedTuple):
    """Training parameters and artifacts that exist before the arms are compared."""

    training: Mapping[str, Any]
    patches: Any
    overviews: Any
    generator: Any
    pool: Any
    selected: Any
    baseline: Any


def generate_and_select(checked: Checked) -> Selection:
    """Add the tasks from slides to selected patches, to the pipeline or branch in which this is called."""
    cutting = preprocess(**checked.cutting)
    checked.assign(cutting, "Cut patches")
    patches, checkpoints = cutting.outputs["patches"], checked.run.checkpoints
    training = {
        "patches": patches,
        "seeds": checked.run.seeds,
        "checkpoints": checkpoints,
        **checked.settings("train_classifier"),
    }
    baseline = train_classifier(arm="baseline", augmentation="none", **training)
    checked.assign(baseline, "Train the baseline")
    extractor = baseline.outputs["model"]

    generating = train_generator(
        patches=patches, extractor=extractor, checkpoints=checkpoints, **checked.settings("train_generator")
    )
    checked.assign(generating, "Train HistoGAN")
    selecting = select_samples(
        patches=patches,
        extractor=extractor,
        generator=generating.outputs["generator"],
        rule="entropy_centroid",
        **checked.settings("select_samples"),
    )
    checked.assign(selecting, "Draw and select patches")
    return Selection(
        training=training,
        patches=patches,
        overviews=cutting.outputs["overviews"],
        generator=generating.outputs["generator"],
        pool=selecting.outputs["pool"],
        selected=selecting.outputs["selected"],
        baseline=extractor,
    )


@pipeline("selective-augmentation")
def selective_augmentation(run: RunParameters, test_source: str = "") -> Outputs:
    """Train HistoGAN on the patches of slides, keep the synthetic patches that help, and compare five classifiers."""
    checked = check(run, test_source)
    selection = generate_and_select(checked)
    training = selection.training

    with dsl.ParallelFor(RULES, name="Other rules") as other:
        chosen = select_samples(
            patches=selection.patches,
            extractor=selection.baseline,
            pool_in=selection.pool,
            rule=other.rule,
            **checked.settings("select_samples"),
        )
        checked.assign(chosen, "Select patches")
        arm = train_classifier(arm=other.arm, augmentation="none", synthetic=chosen.outputs["selected"], **training)
        checked.assign(arm, "Train with the selection")
    traditional = train_classifier(arm="traditional", augmentation="traditional", **training)
    checked.assign(traditional, "Train with traditional augmentation")
    selective = train_classifier(arm="selective", augmentation="none", synthetic=selection.selected, **training)
    checked.assign(selective, "Train with selected patches")

    evaluation = evaluate(
        patches=selection.patches,
        baseline=selection.baseline,
        traditional=traditional.outputs["model"],
        arms=dsl.Collected(arm.outputs["model"]),
        selective=selective.outputs["model"],
        generator=selection.generator,
        pool=selection.pool,
        selected=selection.selected,
        overviews=selection.overviews,
        **checked.testing,
    )
    checked.assign(evaluation, "Evaluate and report")
    return Outputs(
        report=evaluation.outputs["report"],
        metrics=evaluation.outputs["results"],
        patches=selection.patches,
        overviews=selection.overviews,
        generator=selection.generator,
        pool=selection.pool,
        selected=selection.selected,
        baseline=selection.baseline,
        traditional=traditional.outputs["model"],
        arms=dsl.Collected(arm.outputs["model"]),
        selective=selective.outputs["model"],
    )
