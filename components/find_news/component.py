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
    seed: int = 0,
    models: str = "",
    checkpoints: str = "",
) -> NamedTuple("News", [("Output", bool), ("record", str)]):
    """Say whether a source holds other slides than when it was last trained on, or the settings are others.

    Never cache it: what it compares with is not among its inputs.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides or images.
        dataset_digest: over the files at the source, as scan_source gives it.
        state: location of the record that record_source keeps.
        preset: of the run.
        overrides: of the run.
        patch_size: of the run.
        slide_mpp: of the run.
        seeds: of the run.
        seed: of the run.
        models: where the run will publish; where it goes on, that it may write there is seen now. '' for nowhere.
        checkpoints: where it will put checkpoints, seen to alike.

    Returns:
        metrics: whether there is news (1 or 0), and the task's time and memory.
        summary: what has changed, in a sentence.
        Output: whether there is anything new.
        record: what record_source is to keep once the run has ended well.
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
            "seed": seed,
        },
        state,
        (models, checkpoints),
        summary,
        metrics,
    )
