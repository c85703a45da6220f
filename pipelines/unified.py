"""Compare one network that draws and classifies patches with two stages that do one each (Li et al., PCam)."""

from typing import Any, List, NamedTuple

from histoforge.generators.unified_networks import NETWORKS
from histoforge_components.evaluate.component import evaluate
from histoforge_components.join_classifiers.component import join_classifiers
from histoforge_components.plan_seeds.component import plan_seeds
from histoforge_components.plan_unified.component import plan_unified
from histoforge_components.select_samples.component import select_samples
from histoforge_components.train_classifier.component import train_classifier
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines import resources
from histoforge_pipelines.checking import Checked, check
from histoforge_pipelines.cutting import cut_patches
from histoforge_pipelines.parameters import RunParameters, pipeline
from kfp import dsl


class Outputs(NamedTuple):
    """Outputs of the pipeline."""

    report: dsl.HTML
    metrics: dsl.Artifact
    patches: dsl.Dataset
    overviews: dsl.Dataset
    generator: dsl.Model
    pool: dsl.Dataset
    baseline: dsl.Model
    backbones: List[dsl.Model]
    cells: List[dsl.Model]
    networks: List[dsl.Model]


def _training(checked: Checked) -> dict[str, Any]:
    run = checked.run
    settings = checked.settings("train_classifier")
    return {"augmentation": "none", "seeds": run.seeds, "checkpoints": run.checkpoints, **settings}


def _selecting(checked: Checked) -> dict[str, Any]:
    return {"rule": "confidence", **checked.settings("select_samples")}


def _plan(checked: Checked, part: str, lists: dict[str, Any]) -> dsl.PipelineTask:
    """List a part of the trainings. A loop of kfp's local runner takes nothing but an output called `Output`."""
    run = checked.run
    plan = plan_unified(part=part, seeds=run.seeds, patch_size=run.patch_size, **lists, **run.settings)
    return checked.assign(plan, f"Plan {part}")


def _train_cell(checked: Checked, cell: Any, patches: Any, extractor: Any, pool: Any) -> Any:
    """Train a backbone with the patches that a cell's ratio keeps of the pool, and return its arm."""
    selection = select_samples(
        patches=patches,
        extractor=extractor,
        pool_in=pool,
        ratio=cell.ratio,
        pool_multiple=cell.pool_multiple,
        **_selecting(checked),
    )
    checked.assign(selection, "Select patches")
    arm = train_classifier(
        arm=cell.arm,
        backbone=cell.backbone,
        factors=cell.factors,
        patches=patches,
        synthetic=selection.outputs["selected"],
        **_training(checked),
    )
    checked.assign(arm, "Train with the selection")
    return arm.outputs["model"]


def _train_network(checked: Checked, network: Any, patches: Any, extractor: Any) -> Any:
    """Train a network with each of its seeds, and return the arm of its classifiers."""
    runs = plan_seeds(method=network.method, seed=network.seed, seeds=network.seeds, overrides=network.overrides)
    checked.assign(runs, "Plan seeds")
    with dsl.ParallelFor(runs.output, name="Seeds", parallelism=resources.AT_ONCE_INSIDE) as training_run:
        training = train_generator(
            patches=patches,
            extractor=extractor,
            method=training_run.method,
            checkpoints=checked.run.checkpoints,
            seed=training_run.seed,
            preset=checked.run.preset,
            overrides=training_run.overrides,
        )
        checked.assign(training, "Train a network")
    joining = join_classifiers(generators=dsl.Collected(training.outputs["generator"]), arm=network.arm)
    checked.assign(joining, "Join the classifiers")
    return joining.outputs["model"]


@pipeline("unified")
def unified(
    run: RunParameters,
    backbones: list = ["resnet34", "resnet50_cbam", "densenet169"],
    ratios: list = [0.5, 1.0],
    networks: list = list(NETWORKS),
    two_stages: str = "histogan",
    test_source: str = "",
) -> Outputs:
    """Compare networks that draw and classify patches with classifiers trained on a generator's selected patches.

    Args:
        run: the parameters of all pipelines.
        backbones: networks of the two-stage system's classifiers, at least two; the first one also chooses the
            generators' epochs and the synthetic patches.
        ratios: numbers of synthetic patches per real training patch; each is combined with every backbone.
        networks: networks that draw and classify: 'vitgan', its baseline 'medvitgan', and the ablations 'vitgan_cp',
            'vitgan_sa' and 'vitgan_log'.
        two_stages: method of the two-stage system's generator.
        seeds: number of classifiers per arm, and of trainings of each network; 0 leaves it to the preset.
        overrides: values for any other parameters of the steps, by 'step.parameter'; 'train_generator.vitgan.epochs'
            applies to one method only.
    """
    checked = check(run, test_source)
    lists = {"backbones": backbones, "ratios": ratios, "networks": networks, "two_stages": two_stages}
    cell_plan = _plan(checked, "cells", lists)
    backbone_plan = _plan(checked, "backbones", lists)
    network_plan = _plan(checked, "networks", lists)
    cutting = cut_patches(checked, after=[cell_plan])
    patches = cutting.outputs["patches"]

    baseline = train_classifier(
        arm="baseline",
        backbone=cell_plan.outputs["backbone"],
        factors=cell_plan.outputs["factors"],
        patches=patches,
        **_training(checked),
    )
    checked.assign(baseline, "Train the first backbone")
    extractor = baseline.outputs["model"]
    generating = train_generator(
        patches=patches,
        extractor=extractor,
        method=two_stages,
        checkpoints=run.checkpoints,
        **checked.settings("train_generator"),
    )
    checked.assign(generating, "Train the generator of two stages")
    candidates = select_samples(
        patches=patches,
        extractor=extractor,
        generator=generating.outputs["generator"],
        ratio=cell_plan.outputs["largest_ratio"],
        pool_multiple=cell_plan.outputs["pool_multiple"],
        **_selecting(checked),
    )
    checked.assign(candidates, "Draw and score candidates")
    pool = candidates.outputs["pool"]

    with dsl.ParallelFor(backbone_plan.outputs["Output"], name="Backbones", parallelism=resources.AT_ONCE) as other:
        real_arm = train_classifier(
            arm=other.arm, backbone=other.backbone, factors=other.factors, patches=patches, **_training(checked)
        )
        checked.assign(real_arm, "Train a backbone")
    with dsl.ParallelFor(cell_plan.outputs["Output"], name="Ratios", parallelism=resources.AT_ONCE) as cell:
        cell_arm = _train_cell(checked, cell, patches, extractor, pool)
    with dsl.ParallelFor(network_plan.outputs["Output"], name="Networks", parallelism=resources.AT_ONCE) as network:
        network_arm = _train_network(checked, network, patches, extractor)

    evaluation = evaluate(
        patches=patches,
        baseline=extractor,
        backbones=dsl.Collected(real_arm.outputs["model"]),
        arms=dsl.Collected(cell_arm),
        networks=dsl.Collected(network_arm),
        generator=generating.outputs["generator"],
        pool=pool,
        overviews=cutting.outputs["overviews"],
        **checked.testing,
    )
    checked.assign(evaluation, "Evaluate and report")
    return Outputs(
        report=evaluation.outputs["report"],
        metrics=evaluation.outputs["results"],
        patches=patches,
        overviews=cutting.outputs["overviews"],
        generator=generating.outputs["generator"],
        pool=pool,
        baseline=extractor,
        backbones=dsl.Collected(real_arm.outputs["model"]),
        cells=dsl.Collected(cell_arm),
        networks=dsl.Collected(network_arm),
    )
