"""From slides to a report that tests whether selected synthetic patches helped (Xue et al. 2021)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, List, NamedTuple

from histoforge_components.evaluate.component import evaluate
from histoforge_components.select_samples.component import select_samples
from histoforge_components.train_classifier.component import train_classifier
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines import resources
from histoforge_pipelines.checking import Checked, check
from histoforge_pipelines.cutting import cut_patches
from histoforge_pipelines.parameters import RunParameters, pipeline
from kfp import dsl

RULES = {"gan": "random", "single_filter": "distance"}


class Outputs(NamedTuple):
    """Outputs of the pipeline; lists are in the order of the folds and, within a fold, of the generators."""

    report: dsl.HTML
    metrics: dsl.Artifact
    patches: dsl.Dataset
    overviews: dsl.Dataset
    generator: List[dsl.Model]
    pool: List[dsl.Dataset]
    selected: List[dsl.Dataset]
    baseline: List[dsl.Model]
    real_arms: List[dsl.Model]
    gan: List[dsl.Model]
    single_filter: List[dsl.Model]
    selective: List[dsl.Model]


@dataclass(frozen=True)
class Drawing:
    """The tasks that train one generator of one fold, and draw and select its patches.

    The pipeline `judge` imports patches instead.

    Attributes:
        checked: the pipeline's parameters, after `scan_source`.
        fold: the item of the loop over the folds.
        inputs: the inputs of `select_samples` that all rules have.
        training: the inputs of `train_classifier` that all arms of the fold have.
        generator, pool, selected: the artifacts; `generator` is the imported patch set if there is none.
    """

    checked: Checked
    fold: Any
    inputs: Mapping[str, Any]
    training: Mapping[str, Any]
    generator: Any
    pool: Any
    selected: Any

    def train(self, arm: str, synthetic: Any, title: str) -> Any:
        """Train an arm with synthetic patches, and return its model."""
        training = train_classifier(arm=arm, augmentation="none", synthetic=synthetic, **self.training)
        self.checked.assign(training, title)
        return training.outputs["model"]

    def train_by_rule(self, arm: str, rule: str, name: str) -> Any:
        """Select patches from the same pool by another rule, and train an arm with them, which titles call `name`."""
        selecting = select_samples(pool_in=self.pool, rule=rule, **self.inputs)
        self.checked.assign(selecting, f"Select patches: {name}")
        return self.train(arm, selecting.outputs["selected"], f"Train with the selection: {name}")


def training_inputs(checked: Checked, patches: Any, fold: Any) -> dict[str, Any]:
    """Return the inputs of `train_classifier` that all arms of a fold have."""
    return {
        "patches": patches,
        "fold": fold.fold,
        "seeds": checked.run.seeds,
        "checkpoints": checked.run.checkpoints,
        **checked.settings("train_classifier"),
    }


def train_baseline(checked: Checked, training: Mapping[str, Any]) -> Any:
    """Train the baseline of a fold, and return its model."""
    baseline = train_classifier(arm="baseline", augmentation="none", **training)
    checked.assign(baseline, "Train the baseline")
    return baseline.outputs["model"]


def train_on_real(checked: Checked, training: Mapping[str, Any], arm: Any) -> Any:
    """Train an arm of real patches of a fold, with traditional augmentation or held-back patches; return its model."""
    values = {name: getattr(arm, name) for name in ("arm", "augmentation", "use", "control_ratio", "factors")}
    task = train_classifier(**{**training, **values})
    checked.assign(task, "Train with augmentation or held-back patches")
    return task.outputs["model"]


def draw_and_select(
    checked: Checked, training: Mapping[str, Any], fold: Any, generator: Any, extractor: Any
) -> Drawing:
    """Train a generator on a fold, and draw and select its patches.

    Args:
        checked: the pipeline's parameters, after `scan_source`.
        training: the inputs of the fold's classifiers.
        fold, generator: the items of the loops.
        extractor: the fold's baseline.
    """
    patches = training["patches"]
    generating = train_generator(
        patches=patches,
        extractor=extractor,
        fold=fold.fold,
        checkpoints=checked.run.checkpoints,
        **checked.settings("train_generator", seed=generator.seed),
    )
    checked.assign(generating, "Train the generator")
    inputs = {"patches": patches, "extractor": extractor, "fold": fold.fold, **checked.settings("select_samples")}
    selecting = select_samples(generator=generating.outputs["generator"], rule="entropy_centroid", **inputs)
    checked.assign(selecting, "Draw and select patches")
    return Drawing(
        checked=checked,
        fold=fold,
        inputs=inputs,
        training=training,
        generator=generating.outputs["generator"],
        pool=selecting.outputs["pool"],
        selected=selecting.outputs["selected"],
    )


@pipeline("selective-augmentation")
def selective_augmentation(
    run: RunParameters,
    test_source: str = "",
    folds: int = 0,
    generator_seeds: int = 1,
    control_doses: list = [0.5, 1.0],
) -> Outputs:
    """Train a generator on the patches of slides, keep the synthetic patches that help, and compare classifiers.

    Args:
        run: the parameters of all pipelines.
        folds: number of parts for cross-validation, at least 2: every patient is tested once, and generators, selection
            and classifiers are trained in each fold, at that many times the cost; 0 leaves it to the preset, which has
            a single split.
        generator_seeds: number of generators to train (in each fold), with the seeds seed, seed + 1, …; from two on,
            the report speaks of the method and not of one generator alone.
        control_doses: numbers of held-back real patches that take the place of the synthetic ones in the positive
            control, as multiples of the number of synthetic patches; each is an arm, and together they show how many
            real patches the synthetic ones were worth. They need control_share of preprocess, which the presets
            quickstart, sane and demo set; [] for none.
    """
    checked = check(run, test_source, folds, generator_seeds, control_doses)
    cutting = cut_patches(checked, folds=folds)
    patches = cutting.outputs["patches"]
    with dsl.ParallelFor(checked.folds, name="Folds", parallelism=resources.AT_ONCE) as fold:
        training = training_inputs(checked, patches, fold)
        baseline = train_baseline(checked, training)
        with dsl.ParallelFor(checked.real_arms, name="Real patches", parallelism=resources.AT_ONCE_INSIDE) as real:
            real_arm = train_on_real(checked, training, real)
        with dsl.ParallelFor(checked.generators, name="Generators", parallelism=resources.AT_ONCE_INSIDE) as generator:
            drawing = draw_and_select(checked, training, fold, generator, baseline)
            selective = drawing.train("selective", drawing.selected, "Train with selected patches")
            gan, single_filter = (
                drawing.train_by_rule(arm, rule, arm.replace("_", " ")) for arm, rule in RULES.items()
            )

    evaluation = evaluate(
        patches=patches,
        baselines=dsl.Collected(baseline),
        real_arms=dsl.Collected(real_arm),
        gans=dsl.Collected(gan),
        single_filters=dsl.Collected(single_filter),
        selectives=dsl.Collected(selective),
        generators=dsl.Collected(drawing.generator),
        pools=dsl.Collected(drawing.pool),
        overviews=cutting.outputs["overviews"],
        **checked.testing,
    )
    checked.assign(evaluation, "Evaluate and report")
    return Outputs(
        report=evaluation.outputs["report"],
        metrics=evaluation.outputs["results"],
        patches=patches,
        overviews=cutting.outputs["overviews"],
        generator=dsl.Collected(drawing.generator),
        pool=dsl.Collected(drawing.pool),
        selected=dsl.Collected(drawing.selected),
        baseline=dsl.Collected(baseline),
        real_arms=dsl.Collected(real_arm),
        gan=dsl.Collected(gan),
        single_filter=dsl.Collected(single_filter),
        selective=dsl.Collected(selective),
    )
