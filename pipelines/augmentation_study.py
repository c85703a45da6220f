"""Vary the number of synthetic patches, of candidates and of real patches (Xue et al. 2021, Fig. 12 and Table 2)."""

from typing import Any, List, NamedTuple

from histoforge_components.evaluate.component import evaluate
from histoforge_components.plan_cells.component import plan_cells
from histoforge_components.plan_fractions.component import plan_fractions
from histoforge_components.select_samples.component import select_samples
from histoforge_components.train_classifier.component import train_classifier
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines import resources
from histoforge_pipelines.checking import Checked, check
from histoforge_pipelines.cutting import cut_patches
from histoforge_pipelines.parameters import RunParameters, pipeline
from histoforge_pipelines.selective_augmentation import train_on_real
from kfp import dsl


class Outputs(NamedTuple):
    """Outputs of the pipeline; lists are in the order of fractions or folds, generators, and cells."""

    report: dsl.HTML
    metrics: dsl.Artifact
    patches: dsl.Dataset
    overviews: dsl.Dataset
    generator: List[dsl.Model]
    pool: List[dsl.Dataset]
    baseline: List[dsl.Model]
    real_arms: List[dsl.Model]
    cells: List[dsl.Model]
    fraction_baselines: List[dsl.Model]
    fraction_selectives: List[dsl.Model]


def _training(checked: Checked, patches: Any, fold: Any) -> dict[str, Any]:
    """Return the inputs of `train_classifier` that all arms of a fold have."""
    run = checked.run
    settings = checked.settings("train_classifier")
    return {
        "patches": patches,
        "fold": fold.fold,
        "augmentation": "none",
        "seeds": run.seeds,
        "checkpoints": run.checkpoints,
        **settings,
    }


def _train_generator(checked: Checked, patches: Any, fold: Any, generator: Any, extractor: Any, title: str) -> Any:
    """Train a generator on a fold, and return its model."""
    generating = train_generator(
        patches=patches,
        extractor=extractor,
        fold=fold.fold,
        checkpoints=checked.run.checkpoints,
        **checked.settings("train_generator", seed=generator.seed),
    )
    checked.assign(generating, title)
    return generating.outputs["generator"]


def _selecting(checked: Checked, patches: Any, fold: Any, extractor: Any) -> dict[str, Any]:
    """Return the inputs of `select_samples` that all selections of a fold have."""
    settings = checked.settings("select_samples")
    return {"patches": patches, "extractor": extractor, "fold": fold.fold, "rule": "entropy_centroid", **settings}


def _train_cell(checked: Checked, cell: Any, training: dict[str, Any], selecting: dict[str, Any], pool: Any) -> Any:
    """Train an arm with the patches that a cell's ratio keeps of a cell's pool, and return its model."""
    selection = select_samples(pool_in=pool, ratio=cell.ratio, pool_multiple=cell.pool_multiple, **selecting)
    checked.assign(selection, "Select patches")
    synthetic = selection.outputs["selected"]
    arm = train_classifier(arm=cell.arm, factors=cell.factors, synthetic=synthetic, **training)
    checked.assign(arm, "Train with the selection")
    return arm.outputs["model"]


def _train_fraction(checked: Checked, fraction: Any, folds: Any, after: dsl.PipelineTask) -> tuple[Any, Any]:
    """Train the baseline and the selective arm on a fraction of the training patches, and return their models.

    A task inside a loop cannot take what another loop has collected, so each fraction cuts the slides for itself. It
    does so after all patches were cut, and then finds every slide in `slide_cache`, if there is one.
    """
    settings = {"train_fraction": fraction.train_fraction, "folds": folds}
    cutting = cut_patches(checked, "Cut fewer patches", after=[after], **settings)
    patches = cutting.outputs["patches"]
    with dsl.ParallelFor(checked.folds, name="Folds of a fraction", parallelism=resources.AT_ONCE_INSIDE) as fold:
        training = _training(checked, patches, fold)
        baseline = train_classifier(arm=fraction.baseline, factors=fraction.baseline_factors, **training)
        checked.assign(baseline, "Train the baseline on a fraction")
        extractor = baseline.outputs["model"]
        with dsl.ParallelFor(
            checked.generators, name="Generators of a fraction", parallelism=resources.AT_ONCE_INSIDE
        ) as generator:
            title = "Train the generator on a fraction"
            trained = _train_generator(checked, patches, fold, generator, extractor, title)
            selection = select_samples(generator=trained, **_selecting(checked, patches, fold, extractor))
            checked.assign(selection, "Draw and select patches")
            selective = train_classifier(
                arm=fraction.selective,
                factors=fraction.selective_factors,
                synthetic=selection.outputs["selected"],
                **training,
            )
            checked.assign(selective, "Train with selected patches")
    return extractor, selective.outputs["model"]


@pipeline("augmentation-study")
def augmentation_study(
    run: RunParameters,
    ratios: list = [0.5, 1.0],
    pool_multiples: list = [4.0, 8.0],
    fractions: list = [0.5],
    test_source: str = "",
    folds: int = 0,
    generator_seeds: int = 1,
    control_doses: list = [0.5, 1.0],
) -> Outputs:
    """Vary ratio and pool size of selective augmentation, and the number of real training patches.

    The largest pool is drawn and scored once, and every cell of ratio and pool size chooses from it. For each fraction
    of the training patches, baseline, generator, selection and selective arm are trained again.

    Args:
        run: the parameters of all pipelines.
        ratios: numbers of kept patches per real training patch (r); the paper has 0.4 to 1.0.
        pool_multiples: numbers of candidates per real training patch; the paper has 2, 4, 6 and 8.
        fractions: fractions of the training patches to train on; the paper has 0.03, 0.05, 0.1 and 0.2.
        folds: number of parts for cross-validation, at least 2: every patient is tested once, and everything is trained
            in each fold, at that many times the cost; 0 leaves it to the preset, which has a single split.
        generator_seeds: number of generators to train (in each fold), with the seeds seed, seed + 1, …
        control_doses: numbers of held-back real patches that take the place of the synthetic ones in the positive
            control, as multiples of the number of synthetic patches that the ratio of the preset keeps; each is an arm.
            They need control_share of preprocess, which the presets quickstart, sane and demo set; [] for none.
    """
    checked = check(run, test_source, folds, generator_seeds, control_doses)
    cells = plan_cells(ratios=ratios, pool_multiples=pool_multiples, folds=folds, generator_seeds=generator_seeds)
    checked.assign(cells, "Plan ratios and pools")
    fraction_plan = plan_fractions(fractions=fractions)
    checked.assign(fraction_plan, "Plan fractions")
    cutting = cut_patches(checked, after=[cells, fraction_plan], folds=folds)
    patches = cutting.outputs["patches"]

    with dsl.ParallelFor(checked.folds, name="Folds", parallelism=resources.AT_ONCE) as fold:
        training = _training(checked, patches, fold)
        baseline = train_classifier(arm="baseline", **training)
        checked.assign(baseline, "Train the baseline")
        extractor = baseline.outputs["model"]
        with dsl.ParallelFor(checked.real_arms, name="Real patches", parallelism=resources.AT_ONCE_INSIDE) as real:
            real_arm = train_on_real(checked, training, real)
        selecting = _selecting(checked, patches, fold, extractor)
        with dsl.ParallelFor(checked.generators, name="Generators", parallelism=resources.AT_ONCE_INSIDE) as generator:
            trained = _train_generator(checked, patches, fold, generator, extractor, "Train the generator")
            largest = cells.outputs["largest_pool"]
            candidates = select_samples(generator=trained, pool_multiple=largest, **selecting)
            checked.assign(candidates, "Draw and score the largest pool")
            pool = candidates.outputs["pool"]
            with dsl.ParallelFor(
                cells.outputs["Output"], name="Ratios and pools", parallelism=resources.AT_ONCE_INSIDE
            ) as cell:
                arm = _train_cell(checked, cell, training, selecting, pool)
    with dsl.ParallelFor(fraction_plan.output, name="Fractions", parallelism=resources.AT_ONCE_INSIDE) as fraction:
        fraction_baseline, fraction_selective = _train_fraction(checked, fraction, folds, cutting)

    evaluation = evaluate(
        patches=patches,
        baselines=dsl.Collected(extractor),
        real_arms=dsl.Collected(real_arm),
        arms=dsl.Collected(arm),
        fraction_baselines=dsl.Collected(fraction_baseline),
        fraction_selectives=dsl.Collected(fraction_selective),
        generators=dsl.Collected(trained),
        pools=dsl.Collected(pool),
        overviews=cutting.outputs["overviews"],
        **checked.testing,
    )
    checked.assign(evaluation, "Evaluate and report")
    return Outputs(
        report=evaluation.outputs["report"],
        metrics=evaluation.outputs["results"],
        patches=patches,
        overviews=cutting.outputs["overviews"],
        generator=dsl.Collected(trained),
        pool=dsl.Collected(pool),
        baseline=dsl.Collected(extractor),
        real_arms=dsl.Collected(real_arm),
        cells=dsl.Collected(arm),
        fraction_baselines=dsl.Collected(fraction_baseline),
        fraction_selectives=dsl.Collected(fraction_selective),
    )
