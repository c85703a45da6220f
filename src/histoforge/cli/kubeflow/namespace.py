"""Checks of a run's namespace, made if the kubeconfig or the pod provides access to Kubernetes.

A user who may start runs may lack permission to read: such checks are skipped, and Kubeflow reports problems itself.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from histoforge.cluster.errors import ClusterError
from histoforge.cluster.launcher import check_launcher
from histoforge.cluster.nodes import capacity_warning
from histoforge.core.progress import say
from histoforge.tasks.kubernetes import Kubernetes, KubernetesError, connect_kubernetes

_KUEUE = "kueue.x-k8s.io"
_KUEUE_VERSIONS = ("v1beta1", "v1beta2")


def check_namespace(namespace: str, profile: str, parameters: Mapping[str, Any], pipeline_root: str) -> None:
    """Check that a run has its queue, its GPUs and its object store before it is started.

    Without a queue, tasks that fit on no node only cause a warning, because a cluster may add nodes for waiting pods.

    Args:
        namespace: namespace of the run; '' for the cluster's default.
        profile: name of the resource profile; '' for none.
        parameters: parameters of the run.
        pipeline_root: location of artifacts; '' for the namespace's default.

    Raises:
        ClusterError: if the queue is unknown, its pool has too few GPUs, or the launcher lacks the provider.
    """
    from histoforge_pipelines.profiles import profile_named

    namespace = namespace or "kubeflow"
    api = connect_kubernetes()
    if api is None:
        return
    with contextlib.suppress(KubernetesError):
        launcher = api.get("", "v1", "configmaps", "kfp-launcher", namespace)
        check_launcher((launcher or {}).get("data"), pipeline_root, namespace)
    chosen = profile_named(profile or "gpu")
    with contextlib.suppress(KubernetesError):
        if chosen.queue:
            _check_queue(api, chosen.queue, namespace, parameters)
        elif "gpu_count" in parameters and (
            warning := capacity_warning(api.nodes(), {**chosen.parameters, **parameters})
        ):
            say(warning)


def _check_queue(api: Kubernetes, queue: str, namespace: str, parameters: Mapping[str, Any]) -> None:
    local_queue = _get_kueue(api, "localqueues", queue, namespace)
    if local_queue is None:
        raise ClusterError(
            f"There is no queue '{queue}' in the namespace '{namespace}': correct the profile, or apply "
            "manifests/components/kueue."
        )
    count, resource = int(parameters.get("gpu_count", "0")), str(parameters.get("gpu_type", ""))
    cluster_queue = _get_kueue(api, "clusterqueues", local_queue.get("spec", {}).get("clusterQueue", ""), "")
    quota = largest_quota(cluster_queue or {}, resource)
    if quota is not None and count > quota:
        raise ClusterError(
            f"A task requests {count} {resource}, but the queue '{queue}' has at most {quota}: lower gpu_count, or use "
            "another profile."
        )


def _get_kueue(api: Kubernetes, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
    """Return an object of Kueue in the first API version that the cluster has; None if it does not exist."""
    objects = (api.get(_KUEUE, version, kind, name, namespace) for version in _KUEUE_VERSIONS)
    return next(filter(None, objects), None)


def largest_quota(cluster_queue: Mapping[str, Any], resource: str) -> int | None:
    """Return the largest nominal quota of a resource among a ClusterQueue's flavors; None if it has none."""
    quotas = [
        int(quota["nominalQuota"])
        for group in cluster_queue.get("spec", {}).get("resourceGroups", [])
        for flavor in group["flavors"]
        for quota in flavor["resources"]
        if quota["name"] == resource and str(quota["nominalQuota"]).isdecimal()
    ]
    return max(quotas, default=None)
