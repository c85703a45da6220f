"""Metrics and a summary that a task shows in Kubeflow's UI."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from histoforge.tasks.usage import Meter

TASK = "task"
"""Prefix of the names of a task's time, phases and memory among its metrics."""


class Artifact(Protocol):
    """The part of a kfp artifact that this module needs."""

    path: str
    metadata: dict[str, Any]


class MetricsArtifact(Artifact, Protocol):
    """The part of a kfp Metrics artifact that this module needs."""

    def log_metric(self, metric: str, value: float) -> None: ...


class ClassificationArtifact(Artifact, Protocol):
    """The part of a kfp ClassificationMetrics artifact that this module needs."""

    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None: ...

    def log_roc_curve(self, fpr: list[float], tpr: list[float], threshold: list[float]) -> None: ...


def write_report(
    metrics: MetricsArtifact, summary: Artifact, values: Mapping[str, Any], markdown: str, meter: Meter
) -> None:
    """Log the finite numbers in `values` and write `markdown`, both with the task's time, phases and memory."""
    usage = meter.read()
    log_numbers(metrics, {**values, TASK: usage.model_dump()})
    figures = "\n\n".join(filter(None, (usage.sentence(), usage.phases_sentence())))
    write_text(summary, f"{markdown}\n{figures}\n")


def log_numbers(metrics: MetricsArtifact, values: Mapping[str, Any]) -> None:
    """Log the finite numbers in nested `values`, the names joined by dots.

    They are also written to the artifact's file, because kfp's local cache accepts a task only if all of its artifacts
    exist.
    """
    by_name = numbers(values)
    for name, number in by_name.items():
        metrics.log_metric(name, number)
    write_text(metrics, json.dumps(by_name, indent=2))


def numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the finite numbers in nested dicts, by their joined names."""
    by_name: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            by_name.update(numbers(value, f"{prefix}{name}."))
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            by_name[f"{prefix}{name}"] = float(value)
    return by_name


def markdown_table(title: str, values: Mapping[str, Any]) -> str:
    """Return `values` as a Markdown table, without empty ones."""
    rows = [f"| {_cell(key)} | {_cell(value)} |" for key, value in values.items() if value not in (None, "", [], {})]
    return "\n".join([f"**{title}**", "", "| | |", "| --- | --- |", *rows, ""])


def write_text(artifact: Artifact, text: str) -> None:
    """Write `text` as the artifact's content."""
    Path(artifact.path).parent.mkdir(parents=True, exist_ok=True)
    Path(artifact.path).write_text(text, encoding="utf-8")


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{key}: {_cell(item)}" for key, item in value.items())
    elif isinstance(value, list):
        value = ", ".join(_cell(item) for item in value)
    elif isinstance(value, float):
        value = f"{value:.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")
