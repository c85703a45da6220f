"""Comparison of a run's resource requests with the nodes of a cluster."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

GROUPS = ("cutting", "training", "evaluating")


@dataclass(frozen=True)
class Request:
    """The resources that one task requests.

    Attributes:
        resources: resource name to amount, such as 'nvidia.com/gpu' to '1' and 'memory' to '32Gi'.
        node_selector: label to value.
        tolerations: tolerations as in a pod's specification.
    """

    resources: Mapping[str, str]
    node_selector: Mapping[str, str]
    tolerations: Iterable[Mapping[str, Any]]


def task_requests(parameters: Mapping[str, Any]) -> list[Request]:
    """Return the requests of a run's tasks, one per size.

    Args:
        parameters: parameters of the run, including all that concern the cluster.
    """
    from histoforge_pipelines.profiles import GPU_TOLERATIONS

    requests = []
    for group in GROUPS:
        resources = {kind: parameters.get(f"{kind}_{group}") or parameters[kind] for kind in ("cpu", "memory")}
        if group == "cutting":
            requests.append(Request(resources, {}, ()))
            continue
        if parameters["gpu_count"] != "0":
            resources = {parameters["gpu_type"]: parameters["gpu_count"], **resources}
        tolerations = (*GPU_TOLERATIONS, *parameters["tolerations"])
        requests.append(Request(resources, parameters["node_selector"], tolerations))
    return requests


def capacity_warning(nodes: Iterable[Mapping[str, Any]], parameters: Mapping[str, Any]) -> str:
    """Return a warning if no node is large enough for some task of a run; '' otherwise, or if there are no nodes.

    This is not an error, because a cluster may add a node when a pod waits for one.

    Args:
        nodes: nodes of the cluster, as Kubernetes lists them.
        parameters: as for `task_requests`.
    """
    nodes = list(nodes)
    if not nodes:
        return ""
    for request in task_requests(parameters):
        usable = [node["status"].get("allocatable", {}) for node in nodes if _usable(node, request)]
        if not any(_fits(amounts, request) for amounts in usable):
            requested = _list(request.resources, request.resources)
            names = list(request.resources)
            largest = max(usable, key=lambda amounts: [_amount(amounts.get(name, "0")) for name in names], default=None)
            available = f"the largest has {_list(largest, names)}" if largest is not None else "it may use none of them"
            return (
                f"No node has room for a task of this run, which requests {requested}: {available}. The task waits for "
                "such a node; lower the requests in the profile if the cluster will not add one."
            )
    return ""


def _usable(node: Mapping[str, Any], request: Request) -> bool:
    """Return True if a node has the labels that a task requires, and no taint that it does not tolerate."""
    labels, spec = node["metadata"].get("labels", {}), node.get("spec", {})
    taints = [taint for taint in spec.get("taints") or [] if taint["effect"] != "PreferNoSchedule"]
    return (
        request.node_selector.items() <= labels.items()
        and not spec.get("unschedulable")
        and all(any(_tolerates(toleration, taint) for toleration in request.tolerations) for taint in taints)
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    return (
        toleration.get("key") in (None, "", taint["key"])
        and toleration.get("effect") in (None, "", taint["effect"])
        and (toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", ""))
    )


def _fits(amounts: Mapping[str, str], request: Request) -> bool:
    return all(_amount(amounts.get(name, "0")) >= _amount(requested) for name, requested in request.resources.items())


def _list(amounts: Mapping[str, str], names: Iterable[str]) -> str:
    return ", ".join(f"{amounts.get(name, '0')} {name}" for name in names)


def _amount(quantity: str) -> Decimal:
    from kubernetes.utils.quantity import parse_quantity

    return Decimal(parse_quantity(quantity))
