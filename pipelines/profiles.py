"""Resource profiles: named sets of the resources that the tasks of a run request from the cluster.

Three profiles come with the project; a custom file uses the same names. A profile is used twice: `HISTOFORGE_PROFILE`
at compile time sets defaults, and also /dev/shm and queue, which Kubeflow takes only then; `--profile` of `histoforge
submit`, or `profile` of a schedule, fills in the parameters of a run.
"""

import difflib
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

GPU_TOLERATIONS = ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},)
QUEUE_LABEL, PRIORITY_LABEL = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"
CPUS = ("cpu", "cpu_cutting", "cpu_training", "cpu_evaluating")
MEMORIES = ("memory", "memory_cutting", "memory_training", "memory_evaluating")
PARAMETERS = ("gpu_count", "gpu_type", *CPUS, *MEMORIES, "node_selector", "tolerations")
"""The attributes that are parameters of every pipeline."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(
    r"(?i)(^|_)(access_?key|secret|secret_?key|api_?key|private_?key|passw(or)?d|token|credentials?)(_|$)"
)
_SIGNED_URL = re.compile(r"://[^/\s@]*:[^/\s@]+@")


@dataclass(frozen=True)
class Profile:
    """The resources that the heavy tasks request.

    Attributes:
        gpu_count: '1'; '0' for the CPU only.
        gpu_type: resource name, such as 'nvidia.com/gpu' or 'nvidia.com/mig-1g.10gb'.
        cpu: cores, such as '8'.
        cpu_cutting, cpu_training, cpu_evaluating: cores of the tasks that cut patches, train, and select,
            score, evaluate or publish; '' for the value of `cpu`.
        memory: memory, such as '32Gi'; whole numbers only.
        memory_cutting, memory_training, memory_evaluating: memory of the same tasks; '' for the value of `memory`.
        shared_memory: size of /dev/shm, whose default of 64 MB is too small for torch; it counts against `memory`.
        node_selector: label to value.
        tolerations: tolerations as in a pod's specification, in addition to `GPU_TOLERATIONS` of all tasks on a GPU.
        queue: Kueue's LocalQueue for tasks with a GPU; '' for none.
        priority: Kueue's WorkloadPriorityClass for them; '' for none.
        slide_claim: PersistentVolumeClaim with slides, mounted under /slides in tasks that read slides; '' for none.
        log_claim: PersistentVolumeClaim for TensorBoard's files of trainings, mounted under /logs; '' for none.
        most_gpus: GPUs of the largest node of the pool, which limit those of a task.
        image_pull_secrets: secrets that the cluster uses to pull the image.
        ca_config_map: config map with the certificates of a private authority that signed the store's; '' for none.
        ca_secret: secret with the same certificates, as an alternative; '' for none.
        ca_key: key of the certificates in either, in PEM format.
        environment: variables of all tasks by name; no secrets, because everybody could read them in the pipeline.
        environment_from: variables of all tasks from config maps: config map to keys, key to variable.
    """

    gpu_count: str = "1"
    gpu_type: str = "nvidia.com/gpu"
    cpu: str = "8"
    cpu_cutting: str = ""
    cpu_training: str = ""
    cpu_evaluating: str = ""
    memory: str = "32Gi"
    memory_cutting: str = ""
    memory_training: str = ""
    memory_evaluating: str = ""
    shared_memory: str = "2Gi"
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: list[dict[str, str]] = field(default_factory=list)
    queue: str = ""
    priority: str = ""
    slide_claim: str = ""
    log_claim: str = ""
    most_gpus: int = 8
    image_pull_secrets: list[str] = field(default_factory=list)
    ca_config_map: str = ""
    ca_secret: str = ""
    ca_key: str = "ca.crt"
    environment: dict[str, str] = field(default_factory=dict)
    environment_from: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a run."""
        more = [toleration for toleration in self.tolerations if toleration not in GPU_TOLERATIONS]
        return {**{name: getattr(self, name) for name in PARAMETERS}, "tolerations": more}


PROFILES = {
    "small": Profile(gpu_count="0", cpu="4", memory="16Gi"),
    "gpu": Profile(),
    "multi-gpu": Profile(gpu_count="4", cpu="32", memory="128Gi", shared_memory="8Gi"),
}


def profile_named(name: str) -> Profile:
    """Return a profile that comes with the project, or the one in a YAML file.

    Args:
        name: 'small', 'gpu', 'multi-gpu', or the path of a YAML file with attributes of `Profile`.

    Raises:
        ValueError: if no profile has that name, or the file contains none; one sentence.
    """
    if name in PROFILES:
        return PROFILES[name]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        close = difflib.get_close_matches(name, PROFILES, n=1, cutoff=0.5)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        raise ValueError(f"There is no profile '{name}'{hint}: give {', '.join(PROFILES)} or a YAML file of your own.")
    return check_profile(_build(_read(path), path), str(path))


def check_profile(profile: Profile, name: str) -> Profile:
    """Return the profile, if a node of its pool can hold one of its tasks.

    Raises:
        ValueError: if it has more GPUs than a node, numbers or names that Kubeflow would reject, or a secret among
            the variables; one sentence.
    """
    cores = [profile.cpu, *filter(None, (getattr(profile, field_name) for field_name in CPUS))]
    if not all(amount.isdecimal() for amount in (profile.gpu_count, *cores)):
        raise ValueError(f"The profile '{name}' has gpu_count or cpu that is no whole number: write for example '1'.")
    memories = [
        profile.memory,
        profile.shared_memory,
        *filter(None, (getattr(profile, field_name) for field_name in MEMORIES)),
    ]
    for amount in memories:
        if amount[-2:] not in ("Gi", "Mi") or not amount[:-2].isdecimal():
            raise ValueError(f"The profile '{name}' has the memory '{amount}': write whole Gi or Mi, such as '32Gi'.")
    if int(profile.gpu_count) > profile.most_gpus:
        raise ValueError(
            f"The profile '{name}' requests {profile.gpu_count} GPUs and a node of its pool has {profile.most_gpus}: "
            "lower gpu_count, or raise most_gpus if there are such nodes."
        )
    _check_environment(profile, name)
    return profile


def _check_environment(profile: Profile, name: str) -> None:
    named = [*profile.image_pull_secrets, *profile.environment_from, profile.ca_config_map, profile.ca_secret]
    for resource in filter(None, named):
        if not isinstance(resource, str) or not _NAME.fullmatch(resource):
            raise ValueError(
                f"The profile '{name}' names a secret or config map {resource!r}: Kubernetes takes lower-case letters, "
                "digits, '-' and '.'."
            )
    if profile.ca_config_map and profile.ca_secret:
        raise ValueError(f"The profile '{name}' has both ca_config_map and ca_secret: leave one of them out.")
    if not _KEY.fullmatch(profile.ca_key):
        raise ValueError(
            f"The profile '{name}' has the ca_key '{profile.ca_key}': give the name of a key, as 'ca.crt'."
        )
    for config_map, keys in profile.environment_from.items():
        if not isinstance(keys, dict) or not keys:
            raise ValueError(
                f"The profile '{name}' takes no keys from the config map '{config_map}': write "
                "'KEY: VARIABLE' below its name."
            )
    drawn = [variable for keys in profile.environment_from.values() for variable in keys.values()]
    for variable in (*profile.environment, *drawn):
        if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
            raise ValueError(
                f"The profile '{name}' has the variable {variable!r}: give a name of letters, digits and '_'."
            )
    for variable, value in profile.environment.items():
        if not isinstance(value, str):
            raise ValueError(f"The profile '{name}' has {value!r} for the variable '{variable}': put it in quotes.")
        if _SECRET.search(variable) or _SIGNED_URL.search(value):
            raise ValueError(
                f"The profile '{name}' seems to contain a secret in the variable '{variable}', which everybody can "
                "read in the pipeline: put it into a secret of the namespace, such as the storage secret."
            )


def profile_of_environment() -> Profile:
    """Return the profile that `HISTOFORGE_PROFILE` names; 'gpu' if it is not set.

    Raises:
        ValueError: as for `profile_named`.
    """
    return profile_named(os.environ.get("HISTOFORGE_PROFILE") or "gpu")


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ValueError(f"The profile {path} cannot be read: give a YAML file with lines such as 'gpu_count: 1'.")
    return values


def _build(values: dict[str, Any], path: Path) -> Profile:
    known = {each.name: type(getattr(PROFILES["gpu"], each.name)) for each in fields(Profile)}
    for name, value in values.items():
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            raise ValueError(f"The profile {path} has '{name}', which is none of {', '.join(known)}{hint}.")
        if not isinstance(value, known[name]) and not (known[name] is str and isinstance(value, int)):
            raise ValueError(f"The profile {path} has {value!r} for '{name}': give a {known[name].__name__}.")
    return Profile(**{name: str(value) if known[name] is str else value for name, value in values.items()})
