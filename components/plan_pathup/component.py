"""The component `plan_pathup`."""

from typing import NamedTuple

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_pathup"), install_kfp_package=False)
def plan_pathup(
    backbones: list = [],
    baselines: list = ["stylegan2", "vqgan"],
    upscalers: list = ["latent_sr", "bsrgan"],
    drawing_gpu_count: str = "",
    drawing_gpu_type: str = "",
    drawing_node_selector: dict = {},
    gpu_count: str = "1",
    gpu_type: str = "nvidia.com/gpu",
    node_selector: dict = {},
    patch_size: str = "",
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
) -> NamedTuple(
    "Plan",
    [
        ("cutting", dict),
        ("cutting_images", dict),
        ("size", str),
        ("unaligned", dict),
        ("prompted", dict),
        ("full", dict),
        ("baseline_methods", list),
        ("drawings", list),
        ("upscaler_methods", list),
        ("classifiers", list),
        ("gpu_count_for_drawing", str),
        ("gpu_type_for_drawing", str),
        ("node_selector_for_drawing", dict),
    ],
):
    """Plan the experiment of PathUp, and check the settings of all its tasks.

    Args:
        backbones: networks that classify large images; [] for the preset's vision transformer, or else 'vit_s_16', and
            'admil'.
        baselines: methods that are trained on patches and on overviews for comparison.
        upscalers: networks that enlarge overviews for comparison: 'latent_sr' and 'bsrgan'.
        drawing_gpu_count: GPUs of a task that draws large images; '' for gpu_count.
        drawing_gpu_type: resource name of these GPUs; '' for gpu_type.
        drawing_node_selector: labels of the nodes of these tasks; {} for node_selector.
        gpu_count: GPUs of a task.
        gpu_type: resource name of the GPU.
        node_selector: labels that a node must have to run a task.
        patch_size: height and width of a patch and an overview, px; '' leaves it to the preset.
        seed: the first seed; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for parameters of the pipeline's steps, by 'step.parameter'.

    Returns:
        cutting: overrides of preprocess for patches and overviews.
        cutting_images: overrides of preprocess for large images with the same split, which are its overviews.
        size: height and width of a large image, px.
        unaligned: overrides of train_generator for latent diffusion without alignment.
        prompted: those with prompt alignment.
        full: those with prompt alignment and the feature entropy loss.
        baseline_methods: the baselines, each with 'method'.
        drawings: further ways to draw with the full method, each with 'name' and 'overrides'.
        upscaler_methods: the upscalers, each with 'method' and 'scale'.
        classifiers: the backbones, each with 'overrides' and the names and factors of its arms.
        gpu_count_for_drawing: GPUs of a task that draws large images.
        gpu_type_for_drawing: resource name of these GPUs.
        node_selector_for_drawing: labels of the nodes of these tasks.
    """
    from histoforge.tasks.small_tasks import run_plan_pathup

    return run_plan_pathup(
        backbones,
        baselines,
        upscalers,
        {
            "gpu_count": gpu_count,
            "gpu_type": gpu_type,
            "node_selector": node_selector,
            "drawing_gpu_count": drawing_gpu_count,
            "drawing_gpu_type": drawing_gpu_type,
            "drawing_node_selector": drawing_node_selector,
        },
        patch_size,
        seed,
        preset,
        overrides,
    )
