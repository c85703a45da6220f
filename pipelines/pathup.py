"""Draw large images by latent diffusion of two spatial levels, and train classifiers with them (PathUp)."""

from dataclasses import dataclass, replace
from typing import Any, List, NamedTuple

from histoforge_components.check_split.component import check_split
from histoforge_components.evaluate.component import evaluate
from histoforge_components.plan_pathup.component import plan_pathup
from histoforge_components.preprocess.component import preprocess
from histoforge_components.score_generator.component import score_generator
from histoforge_components.score_images.component import score_images
from histoforge_components.synthesise_images.component import synthesise_images
from histoforge_components.train_autoencoder.component import train_autoencoder
from histoforge_components.train_classifier.component import train_classifier
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines import resources
from histoforge_pipelines.checking import Checked, check
from histoforge_pipelines.parameters import RunParameters, pipeline
from kfp import dsl


class Outputs(NamedTuple):
    """Outputs of the pipeline."""

    report: dsl.HTML
    metrics: dsl.Artifact
    patches: dsl.Dataset
    overviews: dsl.Dataset
    large_images: dsl.Dataset
    extractor: dsl.Model
    autoencoder: dsl.Model
    unaligned: dsl.Model
    prompted: dsl.Model
    full: dsl.Model
    patch_baselines: List[dsl.Model]
    overview_baselines: List[dsl.Model]
    random_images: dsl.Dataset
    our_images: dsl.Dataset
    other_images: List[dsl.Dataset]
    real_arms: List[dsl.Model]
    random_arms: List[dsl.Model]
    our_arms: List[dsl.Model]


@dataclass(frozen=True)
class Experiment:
    """What all parts of the experiment start from.

    Attributes:
        checked: the pipeline's parameters, after `scan_source`.
        plan: the task of `plan_pathup`.
        patches, overviews: the two spatial levels.
        large_images: real images at the resolution of the patches, each the tissue of an overview.
        extractor: arm of classifiers trained on patches, whose features score and choose.
    """

    checked: Checked
    plan: dsl.PipelineTask
    patches: Any
    overviews: Any
    large_images: Any
    extractor: Any


def _cut(checked: Checked, plan: dsl.PipelineTask) -> Experiment:
    """Cut both levels, and the large images with the same split; train the classifier whose features score."""
    cutting = preprocess(**{**checked.cutting, "overrides": plan.outputs["cutting"]})
    checked.assign(cutting, "Cut patches and overviews")
    patches, overviews = cutting.outputs["patches"], cutting.outputs["overviews"]
    cutting_images = preprocess(**{**checked.cutting, "overrides": plan.outputs["cutting_images"]})
    checked.assign(cutting_images, "Cut large images")
    large_images = cutting_images.outputs["overviews"]
    same_split = check_split(patches=patches, images=large_images)
    checked.assign(same_split, "Check the split")
    training = train_classifier(
        arm="extractor",
        augmentation="none",
        patches=patches,
        checkpoints=checked.run.checkpoints,
        **checked.settings("train_classifier"),
    )
    checked.assign(training, "Train the extractor").after(same_split)
    return Experiment(checked, plan, patches, overviews, large_images, training.outputs["model"])


def _train_diffusion(experiment: Experiment, alignment: str, latent_space: dsl.PipelineTask) -> Any:
    """Train and score a row of Table 2, and return its generator of both levels."""
    checked = experiment.checked
    training = train_generator(
        patches=experiment.patches,
        extractor=experiment.extractor,
        autoencoder=latent_space.outputs["autoencoder"],
        latents=latent_space.outputs["latents"],
        method="pathup",
        checkpoints=checked.run.checkpoints,
        **checked.settings("train_generator", overrides=experiment.plan.outputs[alignment]),
    )
    checked.assign(training, f"Train latent diffusion, {alignment}")
    _score(experiment, experiment.patches, training.outputs["generator"], overviews=experiment.overviews)
    return training.outputs["generator"]


def _train_baselines(experiment: Experiment, level: str, images: Any) -> Any:
    """Train and score the other methods of Table 1 on one level, and return the generator of a method."""
    checked, methods = experiment.checked, experiment.plan.outputs["baseline_methods"]
    with dsl.ParallelFor(methods, name=f"Baselines of {level}", parallelism=resources.AT_ONCE) as baseline:
        training = train_generator(
            patches=images,
            extractor=experiment.extractor,
            method=baseline.method,
            checkpoints=checked.run.checkpoints,
            **checked.settings("train_generator"),
        )
        checked.assign(training, f"Train a baseline on {level}")
        _score(experiment, images, training.outputs["generator"])
    return training.outputs["generator"]


def _score(experiment: Experiment, images: Any, generator: Any, **second_level: Any) -> Any:
    """Score what a generator draws against the images that it was trained on (Tables 1 and 2)."""
    scoring = score_generator(
        patches=images,
        generator=generator,
        extractor=experiment.extractor,
        **second_level,
        **experiment.checked.settings("score_generator"),
    )
    experiment.checked.assign(scoring, "Draw patches and score them")
    return scoring.outputs["scores"]


def _draw(experiment: Experiment, generator: Any, title: str, name: str = "", **settings: Any) -> tuple[Any, Any]:
    """Draw large images on the pool of drawings and score them, and return images and scores."""
    checked, plan = experiment.checked, experiment.plan
    drawing = synthesise_images(
        generator=generator,
        size=plan.outputs["size"],
        checkpoints=checked.run.checkpoints,
        **checked.settings("synthesise_images", **settings),
    )
    names = ("gpu_count", "gpu_type", "node_selector")
    pool = replace(checked.pool, **{name: plan.outputs[f"{name}_for_drawing"] for name in names})
    resources.assign(drawing, pool, title)
    scoring = score_images(
        patches=experiment.large_images,
        images=drawing.outputs["images"],
        extractor=experiment.extractor,
        name=name,
        **checked.settings("score_images"),
    )
    checked.assign(scoring, "Score large images")
    return drawing.outputs["images"], scoring.outputs["scores"]


def _draw_otherwise(experiment: Experiment, generator: Any) -> tuple[Any, Any]:
    """Draw without the weight map (Table 4) and enlarge overviews (Table 3); return images and scores of a way."""
    ways = experiment.plan.outputs["drawings"]
    with dsl.ParallelFor(ways, name="Other ways to draw", parallelism=resources.AT_ONCE) as way:
        return _draw(experiment, generator, "Draw otherwise", overrides=way.overrides)


def _train_arms(experiment: Experiment, random_images: Any, our_images: Any) -> tuple[Any, Any, Any]:
    """Train each backbone of Table 6 on real large images, and with those of two generators; return the three arms."""
    checked = experiment.checked
    trained = []
    with dsl.ParallelFor(
        experiment.plan.outputs["classifiers"], name="Classifiers", parallelism=resources.AT_ONCE
    ) as classifier:
        arms = (
            (classifier.real, classifier.real_factors, {}),
            (classifier.random, classifier.random_factors, {"synthetic": random_images}),
            (classifier.ours, classifier.ours_factors, {"synthetic": our_images}),
        )
        for arm, factors, added in arms:
            training = train_classifier(
                arm=arm,
                factors=factors,
                backbone=classifier.backbone,
                patches=experiment.large_images,
                **added,
                augmentation="none",
                seeds=checked.run.seeds,
                checkpoints=checked.run.checkpoints,
                **checked.settings("train_classifier", overrides=classifier.overrides),
            )
            checked.assign(training, "Train on large images")
            trained.append(training.outputs["model"])
    real, random, ours = trained
    return real, random, ours


@pipeline("pathup")
def pathup(
    run: RunParameters,
    backbones: list = [],
    baselines: list = ["stylegan2", "vqgan"],
    drawing_gpu_count: str = "",
    drawing_gpu_type: str = "",
    drawing_node_selector: dict = {},
) -> Outputs:
    """Draw large images of each class from aligned latent diffusion, compare them, and train classifiers with them.

    Args:
        run: the parameters of all pipelines.
        backbones: networks that classify large images, shrunk to a patch or, for 'admil', as bags of tiles; [] for the
            preset's vision transformer, or else 'vit_s_16', and 'admil'.
        baselines: methods that are trained on patches and on overviews for comparison; [] for none.
        drawing_gpu_count: number of GPUs of a task that draws large images; '' for the value of gpu_count.
        drawing_gpu_type: resource name of the GPUs of these tasks; '' for the value of gpu_type.
        drawing_node_selector: labels that a node must have to run these tasks; {} for the value of node_selector.
        seeds: number of classifiers of large images per arm; 0 leaves it to the preset.
        overrides: values for any other parameters of the steps, by 'step.parameter'; 'train_generator.pathup.epochs'
            applies to one method only.
    """
    checked = check(run)
    plan = plan_pathup(
        backbones=backbones,
        baselines=baselines,
        drawing_gpu_count=drawing_gpu_count,
        drawing_gpu_type=drawing_gpu_type,
        drawing_node_selector=drawing_node_selector,
        gpu_count=run.pool.gpu_count,
        gpu_type=run.pool.gpu_type,
        node_selector=run.pool.node_selector,
        patch_size=run.patch_size,
        **run.settings,
    )
    checked.assign(plan, "Plan the experiment")
    experiment = _cut(checked, plan)

    latent_space = train_autoencoder(
        patches=experiment.patches,
        overviews=experiment.overviews,
        extractor=experiment.extractor,
        checkpoints=run.checkpoints,
        **checked.settings("train_autoencoder"),
    )
    checked.assign(latent_space, "Train the autoencoder")
    unaligned = _train_diffusion(experiment, "unaligned", latent_space)
    prompted = _train_diffusion(experiment, "prompted", latent_space)
    full = _train_diffusion(experiment, "full", latent_space)
    patch_baselines = _train_baselines(experiment, "patches", experiment.patches)
    overview_baselines = _train_baselines(experiment, "overviews", experiment.overviews)

    random_images, _ = _draw(experiment, unaligned, "Draw random images", name="without alignment")
    our_images, _ = _draw(experiment, full, "Draw our images")
    other_images, _ = _draw_otherwise(experiment, full)
    real_arm, random_arm, our_arm = _train_arms(experiment, random_images, our_images)

    evaluation = evaluate(
        patches=experiment.large_images,
        real_arms=dsl.Collected(real_arm),
        arms=dsl.Collected(random_arm),
        gans=dsl.Collected(our_arm),
        generator=full,
        selected=our_images,
        overviews=experiment.overviews,
        **checked.settings("evaluate"),
    )
    checked.assign(evaluation, "Evaluate and report")
    return Outputs(
        report=evaluation.outputs["report"],
        metrics=evaluation.outputs["results"],
        patches=experiment.patches,
        overviews=experiment.overviews,
        large_images=experiment.large_images,
        extractor=experiment.extractor,
        autoencoder=latent_space.outputs["autoencoder"],
        unaligned=unaligned,
        prompted=prompted,
        full=full,
        patch_baselines=dsl.Collected(patch_baselines),
        overview_baselines=dsl.Collected(overview_baselines),
        random_images=random_images,
        our_images=our_images,
        other_images=dsl.Collected(other_images),
        real_arms=dsl.Collected(real_arm),
        random_arms=dsl.Collected(random_arm),
        our_arms=dsl.Collected(our_arm),
    )
