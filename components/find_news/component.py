"""The component `find_news`."""

from typing import NamedTuple

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("find_news"), install_kfp_package=False)
def find_news(
    source: str,
    dataset_digest: str,
    state: str,
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    preset: str = "",
    overrides: dict = {},
    patch_size: str = "",
    slide_mpp: float = 0.0,
    seeds: int = 0,
    seed: int = -1,
    models: str = "",
    checkpoints: str = "",
    folds: int = 0,
    generator_seeds: int = 1,
) -> NamedTuple("News", [("Output", bool), ("record", str)]):
    """Detect whether the slides at a source, or the settings, have changed since the last training.

    Do not cache it, because the record that it reads is not among its inputs.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides or images.
        dataset_digest: digest of the files at the source, from scan_source.
        state: location of the record that record_source writes.
        preset: preset of the run.
        overrides: overrides of the run.
        patch_size: patch size of the run.
        slide_mpp: resolution of slides without one, in the run.
        seeds: number of classifiers of the run.
        seed: seed of the run.
        models: location where the run will publish; if the run continues, write access is checked now. '' for none.
        checkpoints: location of the run's checkpoints, checked in the same way.
        folds: number of folds of the run.
        generator_seeds: number of generators of the run in each fold.

    Returns:
        metrics: 1 if something has changed, otherwise 0; the task's time and memory.
        summary: the change, in one sentence.
        Output: True if something has changed.
        record: the record for record_source to store after the run has succeeded.
    """
    from histoforge.tasks.small_tasks import run_find_news

    return run_find_news(
        source,
        dataset_digest,
        {
            "source": source,
            "preset": preset,
            "overrides": overrides,
            "patch_size": patch_size,
            "slide_mpp": slide_mpp,
            "seeds": seeds,
            "seed": max(seed, 0),
            **({"folds": folds} if folds else {}),
            **({"generator_seeds": generator_seeds} if generator_seeds > 1 else {}),
        },
        state,
        (models, checkpoints),
        summary,
        metrics,
    )
