"""Access to the Kubernetes API, if the kubeconfig or the pod provides it.

A user who may start runs may lack permission to read: this raises `KubernetesError`, which callers ignore.
"""

import os
from typing import Any

SECONDS = 5
"""Timeout of a request in seconds."""


class KubernetesError(Exception):
    """A request that Kubernetes denied or did not respond to."""


class Kubernetes:
    """Read objects, delete pods, and write config maps.

    Args:
        client: the API client of the package `kubernetes`.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def get(self, group: str, version: str, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        """Return an object as JSON; None if it does not exist.

        Raises:
            KubernetesError: if it may not be read.
        """
        start = f"/apis/{group}/{version}" if group else f"/api/{version}"
        path = f"{start}/namespaces/{namespace}/{kind}/{name}" if namespace else f"{start}/{kind}/{name}"
        answer: dict[str, Any] | None = self._call("GET", path)
        return answer

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes of the cluster.

        Raises:
            KubernetesError: if they may not be listed.
        """
        nodes: list[dict[str, Any]] = (self._call("GET", "/api/v1/nodes") or {}).get("items", [])
        return nodes

    def pods(self, namespace: str, label: str) -> list[dict[str, Any]]:
        """Return the pods with a label, given as 'name=value', with the oldest first.

        Raises:
            KubernetesError: if they may not be listed.
        """
        answer = self._call("GET", f"/api/v1/namespaces/{namespace}/pods", [("labelSelector", label)]) or {}
        pods: list[dict[str, Any]] = answer.get("items", [])
        return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))

    def log(self, namespace: str, pod: str, lines: int) -> str:
        """Return the last lines of a pod's main container; '' if the pod is gone.

        Raises:
            KubernetesError: if they may not be read.
        """
        query = [("container", "main"), ("tailLines", str(lines))]
        answer = self._call("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query, raw=True)
        return "" if answer is None else bytes(answer.data).decode("utf-8", errors="replace")

    def delete_pod(self, namespace: str, pod: str) -> None:
        """Delete a pod, which gets its grace period to end. Nothing happens if it is gone.

        Raises:
            KubernetesError: if it may not be deleted.
        """
        self._call("DELETE", f"/api/v1/namespaces/{namespace}/pods/{pod}")

    def write_config_map(self, config_map: dict[str, Any]) -> None:
        """Create a config map, or replace it if its `resourceVersion` is still the one that was read.

        Raises:
            KubernetesError: if it may not be written, or has changed in the meantime.
        """
        metadata = config_map["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/configmaps"
        if "resourceVersion" in metadata:
            self._call("PUT", f"{path}/{metadata['name']}", body=config_map)
        else:
            self._call("POST", path, body=config_map)

    def _call(
        self, verb: str, path: str, query: list[tuple[str, str]] | None = None, raw: bool = False, body: Any = None
    ) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return self._client.call_api(
                path,
                verb,
                query_params=query or [],
                header_params={"Accept": "*/*" if raw else "application/json", "Content-Type": "application/json"},
                body=body,
                auth_settings=["BearerToken"],
                response_type="object",
                _preload_content=not raw,
                _return_http_data_only=True,
                _request_timeout=SECONDS,
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise KubernetesError(f"{error.status} {error.reason}") from None
        except HTTPError as error:
            raise KubernetesError(str(error)) from None


def connect_kubernetes() -> Kubernetes | None:
    """Return the cluster of the pod or of the kubeconfig; None if neither names one."""
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=settings)
        else:
            config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=settings)
    except config.ConfigException:
        return None
    return Kubernetes(client.ApiClient(settings))
