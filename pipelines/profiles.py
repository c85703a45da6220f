"""Resource profiles: what the tasks of a run ask of the cluster, under a name.

Three come with the project; a file of one's own has the same names. A profile is used twice: `HISTOFORGE_PROFILE` at
compile time sets defaults, /dev/shm and queue, which Kubeflow takes at compile time alone, and `--profile` of
`histoforge submit`, or `profile` of a schedule, fills in the parameters of a run.
"""

import difflib
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

GPU_TOLERATIONS = ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},)
QUEUE_LABEL, PRIORITY_LABEL = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"
PARAMETERS = ("gpu_count", "gpu_type", "cpu", "memory", "node_selector", "tolerations")
"""The attributes that are parameters of every pipeline."""


@dataclass(frozen=True)
class Profile:
    """What the heavy tasks ask for.

    Attributes:
        gpu_count: '1'; '0' for the processor alone.
        gpu_type: resource name, such as 'nvidia.com/gpu' or 'nvidia.com/mig-1g.10gb'.
        cpu: cores, such as '8'.
        memory: such as '32Gi'; whole numbers only.
        shared_memory: of /dev/shm, whose 64 MB are else too few for torch; it counts against `memory`.
        node_selector: label to value.
        tolerations: as in a pod's specification.
        queue: Kueue's LocalQueue for tasks with a GPU; '' for none.
        priority: Kueue's WorkloadPriorityClass for them; '' for none.
        slide_claim: PersistentVolumeClaim with slides, mounted under /slides where slides are read; '' for none.
        log_claim: PersistentVolumeClaim for TensorBoard's files of trainings, mounted under /logs; '' for none.
        most_gpus: GPUs of the largest node of the pool: a task cannot have more.
    """

    gpu_count: str = "1"
    gpu_type: str = "nvidia.com/gpu"
    cpu: str = "8"
    memory: str = "32Gi"
    shared_memory: str = "2Gi"
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: list[dict[str, str]] = field(default_factory=lambda: [dict(one) for one in GPU_TOLERATIONS])
    queue: str = ""
    priority: str = ""
    slide_claim: str = ""
    log_claim: str = ""
    most_gpus: int = 8

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a run."""
        return {name: getattr(self, name) for name in PARAMETERS}


PROFILES = {
    "small": Profile(gpu_count="0", cpu="4", memory="16Gi", tolerations=[]),
    "gpu": Profile(),
    "multi-gpu": Profile(gpu_count="4", cpu="32", memory="128Gi", shared_memory="8Gi"),
}


def profile_named(name: str) -> Profile:
    """A profile that comes with the project, or one of a YAML file.

    Args:
        name: 'small', 'gpu', 'multi-gpu', or the path of a YAML file with attributes of `Profile`.

    Raises:
        ValueError: there is none of that name, or the file does not hold one; one sentence.
    """
    if name in PROFILES:
        return PROFILES[name]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        close = difflib.get_close_matches(name, PROFILES, n=1, cutoff=0.5)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        raise ValueError(f"There is no profile '{name}'{hint}: give {', '.join(PROFILES)} or a YAML file of your own.")
    return check_profile(_made(_read(path), path), str(path))


def check_profile(profile: Profile, name: str) -> Profile:
    """The profile itself, if a node of its pool can hold a task of it.

    Raises:
        ValueError: more GPUs than a node has, or numbers that Kubeflow would not take; one sentence.
    """
    if not profile.gpu_count.isdecimal() or not profile.cpu.isdecimal():
        raise ValueError(f"The profile '{name}' has gpu_count or cpu that is no whole number: write for example '1'.")
    for amount in (profile.memory, profile.shared_memory):
        if amount[-2:] not in ("Gi", "Mi") or not amount[:-2].isdecimal():
            raise ValueError(f"The profile '{name}' has the memory '{amount}': write whole Gi or Mi, such as '32Gi'.")
    if int(profile.gpu_count) > profile.most_gpus:
        raise ValueError(
            f"The profile '{name}' asks for {profile.gpu_count} GPUs and a node of its pool has {profile.most_gpus}: "
            "lower gpu_count, or raise most_gpus if there are such nodes."
        )
    return profile


def profile_of_environment() -> Profile:
    """The profile that `HISTOFORGE_PROFILE` names; 'gpu' where it is not set.

    Raises:
        ValueError: as `profile_named`.
    """
    return profile_named(os.environ.get("HISTOFORGE_PROFILE") or "gpu")


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        values = None
    if not isinstance(values, dict):
        raise ValueError(f"The profile {path} cannot be read: give a YAML file with lines such as 'gpu_count: 1'.")
    return values


def _made(values: dict[str, Any], path: Path) -> Profile:
    known = {one.name: type(getattr(PROFILES["gpu"], one.name)) for one in fields(Profile)}
    for name, value in values.items():
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            raise ValueError(f"The profile {path} has '{name}', which is none of {', '.join(known)}{hint}.")
        if not isinstance(value, known[name]) and not (known[name] is str and isinstance(value, int)):
            raise ValueError(f"The profile {path} has {value!r} for '{name}': give a {known[name].__name__}.")
    return Profile(**{name: str(value) if known[name] is str else value for name, value in values.items()})
