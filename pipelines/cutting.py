"""The patch set of a pipeline: the slides of each shard are cut by a task of its own, and joined by one."""

from collections.abc import Sequence
from typing import Any

from histoforge_components.cut_slides.component import cut_slides
from histoforge_components.preprocess.component import preprocess
from histoforge_pipelines import resources
from histoforge_pipelines.checking import Checked
from kfp import dsl


def cut_patches(
    checked: Checked, title: str = "Cut patches", after: Sequence[dsl.PipelineTask] = (), **settings: Any
) -> dsl.PipelineTask:
    """Cut the slides in shards, and return the task of `preprocess` that makes one patch set of them.

    Args:
        checked: the pipeline's parameters, after `scan_source`.
        title: the name of the last task in the UI.
        after: tasks that must have succeeded before.
        settings: inputs of `preprocess` that differ from `checked.cutting`. `overrides` are those of the cutting too;
            the others decide what becomes of the patches.
    """
    cutting = {**checked.cutting, **{name: value for name, value in settings.items() if name == "overrides"}}
    with dsl.ParallelFor(checked.shards, name="Shards", parallelism=resources.SHARDS_AT_ONCE) as shard:
        cut = cut_slides(slides=shard.slides, shard=shard.shard, **cutting)
        checked.assign(cut, "Cut a shard").after(*after)
    fixed = checked.run.fixed.get("preprocess", {})
    task = preprocess(
        cuts=dsl.Collected(cut.outputs["cuts"]),
        images_location=checked.run.images_location,
        **{**cutting, **fixed, **settings},
    )
    return checked.assign(task, title).after(*after)
