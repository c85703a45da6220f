"""Access to the Kubernetes API, if the kubeconfig or the pod provides it.

A user who may start runs may lack permission to read: this raises `KubernetesError`, which callers ignore.
"""

import json
import os
from pathlib import Path
from typing import Any

SECONDS = 5
"""Timeout of a request in seconds."""
NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class KubernetesError(Exception):
    """A request that Kubernetes denied or did not respond to.

    Attributes:
        status: HTTP status; 0 if there was no response.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Kubernetes:
    """Read objects, delete pods, write config maps, and create and delete objects of other kinds.

    Args:
        client: the API client of the package `kubernetes`.
        namespace: the pod's own namespace, or that of the kubeconfig's context.
    """

    def __init__(self, client: Any, namespace: str = "default") -> None:
        self._client = client
        self.namespace = namespace

    def get(self, group: str, version: str, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        """Return an object as JSON; None if it does not exist.

        Raises:
            KubernetesError: if it may not be read.
        """
        start = f"/apis/{group}/{version}" if group else f"/api/{version}"
        path = f"{start}/namespaces/{namespace}/{kind}/{name}" if namespace else f"{start}/{kind}/{name}"
        answer: dict[str, Any] | None = self._call("GET", path)
        return answer

    def create(self, group: str, version: str, kind: str, resource: dict[str, Any]) -> dict[str, Any] | None:
        """Create a resource of a group of APIs; None if the cluster does not know its kind.

        Raises:
            KubernetesError: if it may not be created, is refused, or exists.
        """
        path = f"/apis/{group}/{version}/namespaces/{resource['metadata']['namespace']}/{kind}"
        created: dict[str, Any] | None = self._call("POST", path, body=resource)
        return created

    def delete(self, group: str, version: str, kind: str, name: str, namespace: str) -> None:
        """Delete an object of a group of APIs, and what it owns. Nothing happens if it is gone.

        Raises:
            KubernetesError: if it may not be deleted.
        """
        path = f"/apis/{group}/{version}/namespaces/{namespace}/{kind}/{name}"
        self._call("DELETE", path, [("propagationPolicy", "Background")])

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
        return self._log(namespace, pod, [("container", "main"), ("tailLines", str(lines))])

    def log_since(self, namespace: str, pod: str, container: str, since: str) -> list[tuple[str, str]]:
        """Return the lines of a container from a time on, each with its own time; none if it has not started.

        Args:
            namespace: namespace of the pod.
            pod: its name.
            container: name of the container.
            since: time in the form of RFC 3339; '' for all lines.

        Raises:
            KubernetesError: if they may not be read.
        """
        query = [("container", container), ("timestamps", "true")]
        try:
            text = self._log(namespace, pod, query + [("sinceTime", since)] * bool(since))
        except KubernetesError as error:
            if error.status == 400:  # the container waits for its image
                return []
            raise
        lines = (line.partition(" ") for line in text.splitlines())
        return [(time, line) for time, _, line in lines]

    def _log(self, namespace: str, pod: str, query: list[tuple[str, str]]) -> str:
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
            raise KubernetesError(f"{error.status} {_message(error)}", error.status) from None
        except HTTPError as error:
            raise KubernetesError(str(error)) from None


def _message(error: Any) -> str:
    """Return the sentence in Kubernetes' response, or the reason of the HTTP status."""
    try:
        return str(json.loads(error.body)["message"])
    except (KeyError, TypeError, ValueError):
        return str(error.reason)


def connect_kubernetes() -> Kubernetes | None:
    """Return the cluster of the pod or of the kubeconfig; None if neither names one."""
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=settings)
            namespace = NAMESPACE.read_text().strip()
        else:
            file = os.environ.get("KUBECONFIG")
            config.load_kube_config(file, client_configuration=settings)
            namespace = config.list_kube_config_contexts(file)[1]["context"].get("namespace", "default")
    except (config.ConfigException, OSError):
        return None
    return Kubernetes(client.ApiClient(settings), namespace)
