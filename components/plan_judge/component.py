"""The component `plan_judge`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("plan_judge"), install_kfp_package=False)
def plan_judge(
    source: str,
    synthetic: list,
    rules: list = ["entropy_centroid", "distance"],
    folds: int = 0,
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
) -> list:
    """List the sets of synthetic images to judge, and check their files and classes before any long task starts.

    Do not cache it, because its digests make the pipeline run again when images at the same location change.

    Args:
        source: folder, or s3:// or minio:// prefix, of the real slides or images.
        synthetic: folders, or s3:// or minio:// prefixes, of synthetic images or patch sets.
        rules: selection rules to try on each set.
        folds: number of folds of a cross-validation, as for preprocess; 0 leaves it to the preset.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for parameters of the pipeline's steps, by 'step.parameter'.

    Returns:
        Output: source, digest and title of each set, and the names of its arms, as_is and one per rule.
    """
    from histoforge.tasks.small_tasks import run_plan_judge

    return run_plan_judge(source, synthetic, rules, folds, seed, preset, overrides)
