"""Resources of each task: amounts, placement, time limits and retries.

Everything that users change in the UI is a `str` (or list, or dict) parameter of the pipeline. Numbers would compile,
but the backend would then silently omit the limit, whereas it reads a `str` parameter. Values that Kubeflow takes only
at compile time (time limits, the size of /dev/shm, the queue) are constants here.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any

from histoforge.steps.step import RETRIES, SIZES
from histoforge.tasks.table import task_named
from histoforge_pipelines.profiles import (
    CPUS,
    GPU_TOLERATIONS,
    MEMORIES,
    PRIORITY_LABEL,
    QUEUE_LABEL,
    profile_of_environment,
)
from kfp import dsl, kubernetes
from kfp.dsl.pipeline_channel import PipelineChannel

HOUR = 3600
BACKOFF = 30
"""Seconds before the first retry; the wait before each further one is `BACKOFF_FACTOR` times as long."""
BACKOFF_FACTOR = 2
IN_QUEUE = 7 * 24 * HOUR
"""Seconds for which each attempt may wait for a node or in a queue."""
AT_ONCE = 4
"""Iterations of a study's loop that may run at the same time."""
SHARDS_AT_ONCE = 16
"""Shards of slides that may be cut at the same time."""
AT_ONCE_INSIDE = 2
"""The same, of a loop that is within another one or runs beside it."""

try:
    PROFILE = profile_of_environment()
except ValueError as _error:
    raise SystemExit(str(_error)) from None
"""Defaults of the form; `HISTOFORGE_PROFILE` at compile time selects another profile."""

SHARED_MEMORY = PROFILE.shared_memory
GPU_COUNT = PROFILE.gpu_count
GPU_TYPE = PROFILE.gpu_type
CPU = PROFILE.cpu
MEMORY = PROFILE.memory
NODE_SELECTOR = PROFILE.node_selector
TOLERATIONS = PROFILE.parameters["tolerations"]
CPU_CUTTING, MEMORY_CUTTING = PROFILE.cpu_cutting, PROFILE.memory_cutting
CPU_TRAINING, MEMORY_TRAINING = PROFILE.cpu_training, PROFILE.memory_training
CPU_EVALUATING, MEMORY_EVALUATING = PROFILE.cpu_evaluating, PROFILE.memory_evaluating
QUEUE_LABELS = {QUEUE_LABEL: PROFILE.queue, PRIORITY_LABEL: PROFILE.priority}
TASK_LABELS = {"app.kubernetes.io/name": "histoforge-task"}
"""Labels of all tasks' pods, by which the network policy of the manifests selects them."""
STORAGE_SECRET = "histoforge-storage"
STORAGE_KEYS = {
    "accesskey": "AWS_ACCESS_KEY_ID",
    "secretkey": "AWS_SECRET_ACCESS_KEY",
    "endpoint": "HISTOFORGE_S3_ENDPOINT",
}
"""Keys of the storage secret, with the environment variables from which `histoforge.storage` reads them."""

SMALL_SIZE = ("1", "2Gi")
"""Cores and memory of the small tasks."""

LOGS = "/logs"
"""Mount path of a claim for TensorBoard's files, and value of `HISTOFORGE_LOGS` for trainings."""

CERTIFICATES = "/etc/histoforge/certificates"
"""Mount path of the config map or secret with a private certificate authority."""


@dataclass(frozen=True)
class Pool:
    """Placement and sizes of the heavy tasks: parameters of a pipeline, outputs of tasks, or plain values.

    Attributes:
        gpu_count: '1'; '0' for the CPU only.
        gpu_type: resource name, such as 'nvidia.com/gpu' or 'nvidia.com/mig-1g.10gb'.
        cpu: cores, such as '8'.
        memory: memory, such as '32Gi'; whole numbers only.
        node_selector: label to value.
        tolerations: tolerations as in a pod's specification, in addition to `GPU_TOLERATIONS` of all tasks on a GPU.
        storage_secret: name of a secret with the keys of `STORAGE_KEYS`; it need not exist.
        cpu_cutting, cpu_training, cpu_evaluating: cores of the tasks of that size; '' for the value of `cpu`.
        memory_cutting, memory_training, memory_evaluating: memory of the same tasks; '' for the value of `memory`.
    """

    gpu_count: Any
    gpu_type: Any
    cpu: Any
    memory: Any
    node_selector: Any
    tolerations: Any
    storage_secret: Any
    cpu_cutting: Any = ""
    cpu_training: Any = ""
    cpu_evaluating: Any = ""
    memory_cutting: Any = ""
    memory_training: Any = ""
    memory_evaluating: Any = ""

    @property
    def sizes(self) -> dict[str, Any]:
        """Return cores and memory as given in the form: inputs of `scan_source`."""
        return {name: getattr(self, name) for name in (*CPUS, *MEMORIES)}

    def sized_by(self, scan: dsl.PipelineTask) -> "Pool":
        """Return the pool with the sizes that `scan_source` resolved, as '' in a form is not a valid size for Kubeflow.

        Args:
            scan: task of `scan_source` that received `sizes`.
        """
        return replace(self, **{f"{kind}_{size}": scan.outputs[f"{kind}_for_{size}"] for kind, size in _SIZED})

    def size(self, size: str) -> tuple[Any, Any]:
        """Return cores and memory of a task of a size: 'small', or one of `SIZES`."""
        if size == "small":
            return SMALL_SIZE
        cpu, memory = (getattr(self, f"{kind}_{size}") for kind in ("cpu", "memory"))
        return _or_default(cpu, self.cpu), _or_default(memory, self.memory)


_SIZED = [(kind, size) for kind in ("cpu", "memory") for size in SIZES]


def retry_window(hours: int) -> int:
    """Return the seconds within which a task with a time limit may be retried, from the start of its first attempt.

    Argo ends a task's retries, and the running attempt, after this time (`processNodeRetries` of
    workflow/controller/operator.go in argoproj/argo-workflows at f016ad8), which includes the time that a pod waits for
    its node. It must therefore exceed the time limits, waits and backoffs of all attempts together.
    """
    backoffs = sum(BACKOFF * BACKOFF_FACTOR**retry for retry in range(RETRIES))
    return (RETRIES + 1) * (hours * HOUR + IN_QUEUE) + backoffs


def assign(task: dsl.PipelineTask, pool: Pool, title: str = "") -> dsl.PipelineTask:
    """Set everything that a task requests from the cluster, as its component's entry in `STEPS` or `TASKS` declares.

    Args:
        task: task of one of the project's components.
        pool: placement and sizes of the heavy tasks.
        title: the task's name in the UI; '' keeps the component's.
    """
    entry = task_named(task.component_spec.name)
    _skip_stack(task)
    if title:
        task.set_display_name(title)
    _set_size(task, entry.size, pool)
    if entry.gpu:
        _set_gpu(task, pool)
    if entry.reads_slides and PROFILE.slide_claim:
        kubernetes.mount_pvc(task, PROFILE.slide_claim, "/slides")
    if entry.side_effects:
        task.set_caching_options(False)
    task.set_retry(
        RETRIES,
        backoff_duration=f"{BACKOFF}s",
        backoff_factor=BACKOFF_FACTOR,
        backoff_max_duration=f"{retry_window(entry.hours)}s",
    )
    kubernetes.set_timeout(task, entry.hours * HOUR)
    kubernetes.set_security_context(task, run_as_non_root=True)
    kubernetes.use_secret_as_env(task, pool.storage_secret, STORAGE_KEYS, optional=True)
    for label, value in TASK_LABELS.items():
        kubernetes.add_pod_label(task, label, value)
    _set_environment(task)
    return task


def _skip_stack(task: dsl.PipelineTask) -> None:
    """Skip a check of each of kfp's setters, which every task of a component passes.

    For the setter's name in the message of an error, it reads the source of all callers with `inspect.stack()`, which
    is nine tenths of the time that kfp 2.17 takes to define the pipelines.
    """
    task._ensure_container_spec_exists = lambda: None


def place(task: dsl.PipelineTask, pool: Pool, title: str = "") -> dsl.PipelineTask:
    """Call `assign`, under the name that it had in version 0.1.0."""
    warnings.warn("resources.place has been renamed: call resources.assign", DeprecationWarning, stacklevel=2)
    return assign(task, pool, title)


def _set_size(task: dsl.PipelineTask, size: str, pool: Pool) -> None:
    cpu, memory = pool.size(size)
    task.set_cpu_limit(cpu).set_memory_limit(memory)
    _register(task, cpu, memory)
    if size != "small":
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit=SHARED_MEMORY)


def _set_gpu(task: dsl.PipelineTask, pool: Pool) -> None:
    task.set_accelerator_type(pool.gpu_type).set_accelerator_limit(pool.gpu_count)
    _register(task, pool.gpu_type, pool.gpu_count)
    kubernetes.add_node_selector_json(task, pool.node_selector)
    kubernetes.add_toleration_json(task, [dict(toleration) for toleration in GPU_TOLERATIONS])
    more = pool.tolerations
    if not _is_channel(more):
        more = [toleration for toleration in more if toleration not in GPU_TOLERATIONS]
    kubernetes.add_toleration_json(task, more)
    for label, value in QUEUE_LABELS.items():
        if value:
            kubernetes.add_pod_label(task, label, value)
    if PROFILE.log_claim:
        kubernetes.mount_pvc(task, PROFILE.log_claim, LOGS)
        task.set_env_variable("HISTOFORGE_LOGS", LOGS)


def _set_environment(task: dsl.PipelineTask) -> None:
    """Set the profile's pull secrets, certificates and variables."""
    if PROFILE.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, PROFILE.image_pull_secrets)
    if PROFILE.ca_config_map:
        kubernetes.use_config_map_as_volume(task, PROFILE.ca_config_map, CERTIFICATES)
    if PROFILE.ca_secret:
        kubernetes.use_secret_as_volume(task, PROFILE.ca_secret, CERTIFICATES)
    if PROFILE.ca_config_map or PROFILE.ca_secret:
        task.set_env_variable("HISTOFORGE_S3_CA", f"{CERTIFICATES}/{PROFILE.ca_key}")
    for name, value in PROFILE.environment.items():
        task.set_env_variable(name, value)
    for config_map, keys in PROFILE.environment_from.items():
        kubernetes.use_config_map_as_env(task, config_map, keys)


def _register(task: dsl.PipelineTask, *values: Any) -> None:
    """Register parameters with a task, because kfp 2.17 does not pass those of the size and GPU setters into loops."""
    task.register_pipeline_channels([value for value in values if _is_channel(value)])


def _or_default(value: Any, default: Any) -> Any:
    return value if _is_channel(value) or value else default


def _is_channel(value: Any) -> bool:
    """Return True for a parameter or a task's output, whose value is not known yet, and False for a plain value."""
    return isinstance(value, PipelineChannel)
