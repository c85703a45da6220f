"""Draw large images by latent diffusion of two spatial levels, and train classifiers with them (PathUp)."""

from typing import List, NamedTuple

from histoforge_components.evaluate.component import evaluate
from histoforge_components.plan_pathup.component import plan_pathup
from histoforge_components.train_autoencoder.component import train_autoencoder
from histoforge_pipelines.checking import check
from histoforge_pipelines.parameters import RunParameters, pipeline
from histoforge_pipelines.pathup_tables import (
    draw,
    draw_enlarged,
    draw_otherwise,
    prepare,
    score_drawing,
    train_arms,
    train_baselines,
    train_diffusion,
)
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
    enlarged_images: List[dsl.Dataset]
    real_arms: List[dsl.Model]
    random_arms: List[dsl.Model]
    our_arms: List[dsl.Model]


@pipeline("pathup")
def pathup(
    run: RunParameters,
    backbones: list = [],
    baselines: list = ["stylegan2", "vqgan"],
    upscalers: list = ["latent_sr", "bsrgan"],
    drawing_gpu_count: str = "",
    drawing_gpu_type: str = "",
    drawing_node_selector: dict = {},
) -> Outputs:
    """Draw large images of each class from aligned latent diffusion, compare them, and train classifiers with them.

    Args:
        run: the parameters of all pipelines.
        backbones: networks that classify large images, shrunk to a patch or, for 'admil', as bags of tiles; [] for the
            preset's vision transformer, or else 'vit_s_16', and 'admil'.
        baselines: methods that are trained on patches and on overviews for comparison, at least one.
        upscalers: networks that enlarge overviews for comparison, at least one: 'latent_sr' and 'bsrgan'.
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
        upscalers=upscalers,
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
    experiment = prepare(checked, plan)

    latent_space = train_autoencoder(
        patches=experiment.patches,
        overviews=experiment.overviews,
        extractor=experiment.extractor,
        checkpoints=run.checkpoints,
        **checked.settings("train_autoencoder"),
    )
    checked.assign(latent_space, "Train the autoencoder")
    unaligned, unaligned_scores = train_diffusion(experiment, "unaligned", latent_space)
    prompted, prompted_scores = train_diffusion(experiment, "prompted", latent_space)
    full, full_scores = train_diffusion(experiment, "full", latent_space)
    patch_baselines, patch_scores = train_baselines(experiment, "patches", experiment.patches)
    overview_baselines, overview_scores = train_baselines(experiment, "overviews", experiment.overviews)

    random_images = draw(experiment, unaligned, "Draw random images")
    our_images = draw(experiment, full, "Draw our images")
    our_scores = score_drawing(experiment, our_images)
    other_images, other_scores = draw_otherwise(experiment, full)
    enlarged_images, enlarged_scores = draw_enlarged(experiment, full, latent_space.outputs["autoencoder"])
    real_arm, random_arm, our_arm = train_arms(experiment, random_images, our_images)

    evaluation = evaluate(
        patches=experiment.large_images,
        real_arms=dsl.Collected(real_arm),
        arms=dsl.Collected(random_arm),
        gans=dsl.Collected(our_arm),
        generator=full,
        selected=our_images,
        overviews=experiment.overviews,
        unaligned_scores=unaligned_scores,
        prompted_scores=prompted_scores,
        full_scores=full_scores,
        generator_scores=dsl.Collected(patch_scores),
        overview_scores=dsl.Collected(overview_scores),
        tracked_scores=our_scores,
        image_scores=dsl.Collected(other_scores),
        enlarged_scores=dsl.Collected(enlarged_scores),
        autoencoder=latent_space.outputs["autoencoder"],
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
        enlarged_images=dsl.Collected(enlarged_images),
        real_arms=dsl.Collected(real_arm),
        random_arms=dsl.Collected(random_arm),
        our_arms=dsl.Collected(our_arm),
    )
