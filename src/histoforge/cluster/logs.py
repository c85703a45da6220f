"""The last sentence of a task, extracted from its pod's log.

In a pod's log, lines of Kubeflow's launcher and of Argo's executor follow those of the task itself; the artifact
`executor-logs` contains only the task's own lines.
"""

import re
from collections.abc import Mapping
from typing import Any

LONGEST = 500
_LAUNCHER = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+\.go:\d+\] ?(.*)")
_TASK_FAILED = "Component failed to execute successfully"
"""The line that the launcher logs after the last line of a failed task (backend/src/v2/component/launcher_v2.go)."""
_ARGO = re.compile(r"time=|Error: exit status \d+$|exit status \d+$")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*Z ")
"""Timestamp as `kubectl logs --timestamps` writes it."""


def last_sentence(log: str) -> str:
    """Return the last line that a task wrote to its pod's log, or '' if it wrote none."""
    lines = [_TIMESTAMP.sub("", line).strip() for line in log.splitlines()]
    ends = [number for number, line in enumerate(lines) if _launcher_message(line).startswith(_TASK_FAILED)]
    for line in reversed(lines[: ends[-1]] if ends else lines):
        if line and not _LAUNCHER.match(line) and not _ARGO.match(line):
            return line[:LONGEST]
    return ""


def driver_sentence(log: str) -> str:
    """Return the last message of a Kubeflow driver without its position in the code; '' for an empty log."""
    for line in reversed([line.strip() for line in log.splitlines()]):
        if line and not _ARGO.match(line):
            return (_launcher_message(line) or line)[:LONGEST]
    return ""


def pod_reason(pod: Mapping[str, Any]) -> str:
    """Return the reason for which Kubernetes stopped a pod's main container; '' if the container ended by itself.

    Args:
        pod: the pod as the API server of Kubernetes describes it.
    """
    status = pod.get("status", {})
    for container in status.get("containerStatuses", []):
        ended = container.get("state", {}).get("terminated") or {}
        if container.get("name") == "main" and ended.get("reason") == "OOMKilled":
            return "It exceeded its memory limit and was killed: raise the parameter 'memory'."
    reason, message = status.get("reason", ""), status.get("message", "")
    return f"Kubernetes stopped it: {reason}{f' ({message})' if message else ''}." if reason else ""


def _launcher_message(line: str) -> str:
    match = _LAUNCHER.match(line)
    return match[1] if match else ""
