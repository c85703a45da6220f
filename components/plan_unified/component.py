"""The component `plan_unified`."""

from typing import NamedTuple

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_unified"), install_kfp_package=False)
def plan_unified(
    part: str = "networks",
    backbones: list = ["resnet34", "resnet50_cbam", "densenet169"],
    ratios: list = [0.5, 1.0],
    networks: list = ["vitgan"],
    two_stages: str = "histogan",
    seeds: int = 0,
    patch_size: str = "",
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
) -> NamedTuple(
    "Plan", [("Output", list), ("backbone", str), ("factors", list), ("largest_ratio", float), ("pool_multiple", float)]
):
    """List the trainings that compare unified networks with two stages, and check the settings of all of them.

    Args:
        part: the trainings to list: 'backbones' (all but the first, on real patches), 'cells' (each backbone with
            synthetic patches) or 'networks'.
        backbones: networks of the classifiers, at least two; the first one also scores synthetic patches.
        ratios: numbers of synthetic patches per real training patch.
        networks: unified networks: 'vitgan', its baseline 'medvitgan', and its ablations 'vitgan_cp', 'vitgan_sa' and
            'vitgan_log'.
        two_stages: method of the generator whose patches are added to the training of the backbones.
        seeds: number of classifiers per arm, and of trainings per network; 0 leaves it to the preset.
        patch_size: height and width of a patch, px: '96', or '256x128'; '' leaves it to the preset.
        seed: the first seed; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for parameters of the pipeline's steps, by 'step.parameter'.

    Returns:
        Output: the trainings; arm, backbone, factors and, for cells, ratio; for networks arm, method, overrides, seed
            and seeds.
        backbone: the first backbone.
        factors: what sets its arm apart.
        largest_ratio: the largest of the ratios.
        pool_multiple: number of candidates per real training patch, from which all cells choose.
    """
    from histoforge.tasks.small_tasks import run_plan_unified

    return run_plan_unified(part, backbones, ratios, networks, two_stages, seeds, patch_size, seed, preset, overrides)
