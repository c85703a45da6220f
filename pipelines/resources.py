"""What each task asks of the cluster: the one place that says how much, where, for how long and how often.

What a person changes in the UI is a `str` (or list, or dict) parameter of the pipeline. Numbers would compile, and the
backend would then leave the limit out without a word; a parameter that is a `str` it reads. What Kubeflow takes at
compile time alone (time limits, the size of /dev/shm, the queue) is a constant here.
"""

from dataclasses import dataclass
from typing import Any

from histoforge_pipelines.profiles import PRIORITY_LABEL, QUEUE_LABEL, profile_of_environment
from kfp import dsl, kubernetes

HOUR = 3600
RETRIES = 2
AT_ONCE = 4
"""Iterations of a study's loop that may run at the same time."""

try:
    PROFILE = profile_of_environment()
except ValueError as _error:
    raise SystemExit(str(_error)) from None
"""What is asked for unless the form says otherwise; `HISTOFORGE_PROFILE` at compile time names another."""

SHARED_MEMORY = PROFILE.shared_memory
GPU_COUNT = PROFILE.gpu_count
GPU_TYPE = PROFILE.gpu_type
CPU = PROFILE.cpu
MEMORY = PROFILE.memory
NODE_SELECTOR = PROFILE.node_selector
TOLERATIONS = PROFILE.tolerations
QUEUE_LABELS = {QUEUE_LABEL: PROFILE.queue, PRIORITY_LABEL: PROFILE.priority}
STORAGE_SECRET = "histoforge-storage"
STORAGE_KEYS = {
    "accesskey": "AWS_ACCESS_KEY_ID",
    "secretkey": "AWS_SECRET_ACCESS_KEY",
    "endpoint": "HISTOFORGE_S3_ENDPOINT",
}
"""Keys of the storage secret and the environment variables that `histoforge.storage` reads them from."""

TIME_LIMITS = {
    "scan-source": HOUR,
    "plan-cells": HOUR,
    "plan-fractions": HOUR,
    "plan-benchmark": HOUR,
    "plan-classes": HOUR,
    "preprocess": 24 * HOUR,
    "finetune-snn": 24 * HOUR,
    "train-generator": 72 * HOUR,
    "join-generators": HOUR,
    "select-samples": 12 * HOUR,
    "train-classifier": 48 * HOUR,
    "score-generator": 12 * HOUR,
    "leaderboard": 6 * HOUR,
    "evaluate": 6 * HOUR,
    "publish-model": 3 * HOUR,
    "find-news": HOUR,
    "record-source": HOUR,
}
"""Seconds after which a task is stopped."""

ON_GPU = {
    "finetune-snn",
    "train-generator",
    "select-samples",
    "train-classifier",
    "score-generator",
    "leaderboard",
    "evaluate",
    "publish-model",
}
SMALL = {
    "scan-source",
    "find-news",
    "record-source",
    "plan-cells",
    "plan-fractions",
    "plan-benchmark",
    "plan-classes",
    "join-generators",
}
READ_SLIDES = {"scan-source", "preprocess"}
LOGS = "/logs"
"""Where a claim for TensorBoard's files is mounted, and what `HISTOFORGE_LOGS` says to trainings."""

SIDE_EFFECTS = {"scan-source", "find-news", "record-source", "publish-model"}
"""Never served from the cache: what they look at, or change, is not among their inputs."""


@dataclass(frozen=True)
class Pool:
    """Where the heavy tasks run; each is a pipeline parameter.

    Attributes:
        gpu_count: '1'; '0' for the processor alone.
        gpu_type: resource name, such as 'nvidia.com/gpu' or 'nvidia.com/mig-1g.10gb'.
        cpu: cores, such as '8'.
        memory: such as '32Gi'; whole numbers only.
        node_selector: label to value.
        tolerations: as in a pod's specification.
        storage_secret: name of a secret with the keys of `STORAGE_KEYS`; it need not exist.
    """

    gpu_count: Any
    gpu_type: Any
    cpu: Any
    memory: Any
    node_selector: Any
    tolerations: Any
    storage_secret: Any


def place(task: dsl.PipelineTask, pool: Pool, title: str = "") -> dsl.PipelineTask:
    """Set everything that a task asks of the cluster, by the component that it is of.

    Args:
        task: of one of the project's components.
        pool: where the heavy tasks run.
        title: its name in the UI; '' keeps the component's.
    """
    name = task.component_spec.name
    if title:
        task.set_display_name(title)
    if name in SMALL:
        task.set_cpu_limit("1").set_memory_limit("2Gi")
    else:
        task.set_cpu_limit(pool.cpu).set_memory_limit(pool.memory)
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit=SHARED_MEMORY)
        # kfp 2.17 forgets to hand parameters of these setters into a loop unless the task is told of them.
        task.register_pipeline_channels([pool.cpu, pool.memory, pool.gpu_count, pool.gpu_type])
    if name in ON_GPU:
        task.set_accelerator_type(pool.gpu_type).set_accelerator_limit(pool.gpu_count)
        kubernetes.add_node_selector_json(task, pool.node_selector)
        kubernetes.add_toleration_json(task, pool.tolerations)
        for label, value in QUEUE_LABELS.items():
            if value:
                kubernetes.add_pod_label(task, label, value)
        if PROFILE.log_claim:
            kubernetes.mount_pvc(task, PROFILE.log_claim, LOGS)
            task.set_env_variable("HISTOFORGE_LOGS", LOGS)
    if name in READ_SLIDES and PROFILE.slide_claim:
        kubernetes.mount_pvc(task, PROFILE.slide_claim, "/slides")
    if name in SIDE_EFFECTS:
        task.set_caching_options(False)
    task.set_retry(RETRIES, backoff_duration="30s", backoff_factor=2, backoff_max_duration="300s")
    kubernetes.set_timeout(task, TIME_LIMITS[name])
    kubernetes.set_security_context(task, run_as_non_root=True)
    kubernetes.use_secret_as_env(task, pool.storage_secret, STORAGE_KEYS, optional=True)
    return task
