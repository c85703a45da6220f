"""Cut a shard as a task of a pipeline; the last retry of a pod that was lost leaves its slides to the join."""

import os
from collections.abc import Mapping
from typing import Any

from histoforge.core.progress import say
from histoforge.core.settings import Settings
from histoforge.steps.step import RETRIES
from histoforge.tasks.step_task import run_step
from histoforge.tasks.task_outputs import Artifact, MetricsArtifact

RETRY = "KFP_RETRY_INDEX"
"""Environment variable: number of the retry, set by Kubeflow's launcher; 0 for the first attempt."""


def cut_shard(
    *,
    preset: str,
    overrides: Mapping[str, Any],
    given: Mapping[str, Any],
    outputs: Mapping[str, Artifact],
    metrics: MetricsArtifact,
    summary: Artifact,
) -> Settings:
    """Run `cut_slides` like `run_step`.

    A loop of which one task fails has no outputs, and ends the run. So the last retry cuts nothing: it succeeds with
    the slides that earlier attempts left in `slide_cache`, and `preprocess` cuts the others.
    """
    lost = os.environ.get(RETRY) == str(RETRIES)
    if lost:
        say(f"the shard {given.get('shard')} was lost with its pod {RETRIES} times: preprocess cuts what is left of it")
    return run_step(
        "cut_slides",
        preset=preset,
        overrides=overrides,
        given={**given, "reuse_only": lost},
        inputs={},
        outputs=outputs,
        metrics=metrics,
        summary=summary,
    )
