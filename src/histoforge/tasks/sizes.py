"""Cores, memory and GPUs of a pipeline's tasks, as given in a form and among the overrides."""

import re
from collections.abc import Mapping
from typing import Any

from histoforge.core.errors import SettingsError
from histoforge.core.settings import step_values
from histoforge.steps.settings import step_overrides
from histoforge.steps.step import Step
from histoforge.steps.table import STEPS

KINDS = ("cpu", "memory")
SIZES = ("cutting", "training", "evaluating")
ON_NODES = ("train_generator", "train_classifier")
"""The steps that several nodes can train together; their tasks then need no GPU."""

_CORES = re.compile(r"[1-9][0-9]*m?|[0-9]+\.[0-9]+")
_MEMORY = re.compile(r"[1-9][0-9]*([KMGT]i?)")


def resolve_sizes(form: Mapping[str, str]) -> tuple[str, ...]:
    """Check the sizes of a form, and fill empty ones with the size for all tasks.

    Kubeflow parses an empty size as a quantity, and the task ends without a message that a user would understand.

    Args:
        form: `cpu`, `memory`, and both with each of `SIZES`, as in `memory_training`; '' stands for the
            size of all tasks.

    Returns:
        Cores for each of `SIZES`, then memory for each.

    Raises:
        SettingsError: if a value is not a number of cores or an amount of memory.
    """
    for name, value in form.items():
        pattern, example = (_CORES, "8") if name.startswith("cpu") else (_MEMORY, "32Gi")
        if value and not pattern.fullmatch(value):
            what = "number of cores" if pattern is _CORES else "whole amount of memory"
            raise SettingsError(f"'{name}' is '{value}', which is no {what}: write it as '{example}'.")
    return tuple(form.get(f"{kind}_{size}") or form.get(kind, "") for kind in KINDS for size in SIZES)


def plans_nodes(step: Step, preset: str, overrides: Mapping[str, Any]) -> bool:
    """Return True if the preset or the overrides let several nodes train a step."""
    values = step_values(step.section, preset, step_overrides(step, overrides), STEPS)
    return values.get("nodes", 1) not in (1, "1")
