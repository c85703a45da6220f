"""The tasks of the pipeline `pathup`, a function for each table of the paper."""

from dataclasses import dataclass, replace
from typing import Any

from histoforge_components.check_split.component import check_split
from histoforge_components.score_generator.component import score_generator
from histoforge_components.score_images.component import score_images
from histoforge_components.synthesise_images.component import synthesise_images
from histoforge_components.train_classifier.component import train_classifier
from histoforge_components.train_generator.component import train_generator
from histoforge_components.train_upscaler.component import train_upscaler
from histoforge_pipelines import resources
from histoforge_pipelines.checking import Checked
from histoforge_pipelines.cutting import cut_patches
from kfp import dsl


@dataclass(frozen=True)
class Experiment:
    """The data and networks that all parts of the experiment start from.

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


def prepare(checked: Checked, plan: dsl.PipelineTask) -> Experiment:
    """Cut both levels, and the large images with the same split; train the classifier whose features score."""
    cutting = cut_patches(checked, "Cut patches and overviews", overrides=plan.outputs["cutting"])
    patches, overviews = cutting.outputs["patches"], cutting.outputs["overviews"]
    images = plan.outputs["cutting_images"]
    cutting_images = cut_patches(checked, "Cut large images", overrides=images)
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


def train_baselines(experiment: Experiment, level: str, images: Any) -> tuple[Any, Any]:
    """Train and score the other methods of Table 1 on one level, and return generator and scores of a method."""
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
        generator = training.outputs["generator"]
        return generator, _score_generator(experiment, images, generator)


def train_diffusion(experiment: Experiment, alignment: str, latent_space: dsl.PipelineTask) -> tuple[Any, Any]:
    """Train and score a row of Table 2, and return its generator of both levels, and the scores."""
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
    generator = training.outputs["generator"]
    return generator, _score_generator(experiment, experiment.patches, generator, overviews=experiment.overviews)


def _score_generator(experiment: Experiment, images: Any, generator: Any, **second_level: Any) -> Any:
    """Score what a generator draws against the images of its level or levels."""
    scoring = score_generator(
        patches=images,
        generator=generator,
        extractor=experiment.extractor,
        **second_level,
        **experiment.checked.settings("score_generator"),
    )
    experiment.checked.assign(scoring, "Draw patches and score them")
    return scoring.outputs["scores"]


def draw(experiment: Experiment, generator: Any, title: str, **inputs: Any) -> Any:
    """Draw large images on the pool of drawings, and return them."""
    checked, plan = experiment.checked, experiment.plan
    drawing = synthesise_images(
        generator=generator,
        size=plan.outputs["size"],
        checkpoints=checked.run.checkpoints,
        **checked.settings("synthesise_images", **inputs),
    )
    names = ("gpu_count", "gpu_type", "node_selector")
    pool = replace(checked.pool, **{name: plan.outputs[f"{name}_for_drawing"] for name in names})
    resources.assign(drawing, pool, title)
    return drawing.outputs["images"]


def score_drawing(experiment: Experiment, images: Any) -> Any:
    """Score large images as a whole and by tiles, and their seams (Tables 3 and 4)."""
    scoring = score_images(
        patches=experiment.large_images,
        images=images,
        extractor=experiment.extractor,
        **experiment.checked.settings("score_images"),
    )
    experiment.checked.assign(scoring, "Score large images")
    return scoring.outputs["scores"]


def draw_otherwise(experiment: Experiment, generator: Any) -> tuple[Any, Any]:
    """Draw without the weight map (Table 4), or only enlarge (Table 3), and return images and scores of a way."""
    ways = experiment.plan.outputs["drawings"]
    with dsl.ParallelFor(ways, name="Other ways to draw", parallelism=resources.AT_ONCE) as way:
        images = draw(experiment, generator, "Draw otherwise", overrides=way.overrides)
        return images, score_drawing(experiment, images)


def draw_enlarged(experiment: Experiment, generator: Any, autoencoder: Any) -> tuple[Any, Any]:
    """Train the upscalers of Table 3 and enlarge overviews with them, and return images and scores of one."""
    checked, networks = experiment.checked, experiment.plan.outputs["upscaler_methods"]
    with dsl.ParallelFor(networks, name="Upscalers", parallelism=resources.AT_ONCE) as network:
        training = train_upscaler(
            patches=experiment.large_images,
            autoencoder=autoencoder,
            method=network.method,
            scale=network.scale,
            checkpoints=checked.run.checkpoints,
            **checked.settings("train_upscaler"),
        )
        checked.assign(training, "Train an upscaler")
        upscaler = training.outputs["upscaler"]
        images = draw(experiment, generator, "Draw with an upscaler", upscaler="trained", upscaler_model=upscaler)
        return images, score_drawing(experiment, images)


def train_arms(experiment: Experiment, random_images: Any, our_images: Any) -> tuple[Any, Any, Any]:
    """Train each backbone of Table 6 on real large images, and with those of two generators; return the three arms."""
    checked, trained = experiment.checked, []
    classifiers = experiment.plan.outputs["classifiers"]
    with dsl.ParallelFor(classifiers, name="Classifiers", parallelism=resources.AT_ONCE) as classifier:
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
