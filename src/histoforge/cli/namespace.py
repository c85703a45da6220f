"""Check the requirements of a run in its namespace, if the kubeconfig or the pod provides access to Kubernetes.

A user who may start runs may lack the right to read: such checks are skipped, and Kubeflow reports problems itself.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from histoforge.cli.kubernetes import Kubernetes, Unseen, connect_kubernetes
from histoforge.cli.nodes import misfit
from histoforge.cluster.errors import ClusterError
from histoforge.cluster.launcher import check_launcher
from histoforge.core.progress import say

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
    with contextlib.suppress(Unseen):
        launcher = api.get("", "v1", "configmaps", "kfp-launcher", namespace)
        check_launcher((launcher or {}).get("data"), pipeline_root, namespace)
    chosen = profile_named(profile or "gpu")
    with contextlib.suppress(Unseen):
        if chosen.queue:
            _check_queue(api, chosen.queue, namespace, parameters)
        elif "gpu_count" in parameters and (warning := misfit(api.nodes(), {**chosen.parameters, **parameters})):
            say(warning)


def _check_queue(api: Kubernetes, queue: str, namespace: str, parameters: Mapping[str, Any]) -> None:
    found = [api.get(_KUEUE, version, "localqueues", queue, namespace) for version in _KUEUE_VERSIONS]
    local = next((one for one in found if one), None)
    if local is None:
        raise ClusterError(
            f"There is no queue '{queue}' in the namespace '{namespace}': correct the profile, or apply "
            "manifests/components/kueue."
        )
    asked, kind = int(parameters.get("gpu_count", "0")), str(parameters.get("gpu_type", ""))
    name = local.get("spec", {}).get("clusterQueue", "")
    pools = [api.get(_KUEUE, version, "clusterqueues", name, "") for version in _KUEUE_VERSIONS]
    pool = next((one for one in pools if one), None)
    quota = largest_quota(pool or {}, kind)
    if quota is not None and asked > quota:
        raise ClusterError(
            f"A task asks for {asked} {kind} and the queue '{queue}' has {quota} at most: lower gpu_count, or use "
            "another profile."
        )


def largest_quota(cluster_queue: Mapping[str, Any], resource: str) -> int | None:
    """Return the largest nominal quota of a resource among a ClusterQueue's flavors; None if it has none."""
    quotas = [
        int(one["nominalQuota"])
        for group in cluster_queue.get("spec", {}).get("resourceGroups", [])
        for flavor in group["flavors"]
        for one in flavor["resources"]
        if one["name"] == resource and str(one["nominalQuota"]).isdecimal()
    ]
    return max(quotas, default=None)
