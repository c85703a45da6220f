"""The last sentence of a task that failed on Kubeflow, and the command that shows its log.

The API server provides neither: a task's `error` is null, and no request lists artifacts. The sentence is in the pod's
log and, without the launcher's lines, in the artifact `executor-logs-N` of its attempt N, which is below the pipeline
root at `PIPELINE/RUN/TASK/SALT/` (`provisionOutputs` in backend/src/v2/driver/driver.go and `qualifyExecutorLogsURI` in
backend/src/v2/component/launcher_v2.go of kubeflow/pipelines at 7b70c7b95f).
"""

import contextlib
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from histoforge.cluster.logs import driver_sentence, last_sentence, pod_reason
from histoforge.cluster.tasks import DRIVER, Event, split_node
from histoforge.core.errors import HistoforgeError
from histoforge.tasks.kubernetes import KubernetesError, connect_kubernetes

RUN_LABEL = "pipeline/runid"
NODE_NAME = "workflows.argoproj.io/node-name"
LINES = 200
"""Number of lines read from the end of a pod's log."""


class Failure(NamedTuple):
    """The failure of a task.

    Attributes:
        sentence: its last sentence, or ''.
        command: command that shows its log.
    """

    sentence: str
    command: str


class FailureReader:
    """Reads why tasks of a run failed.

    Args:
        namespace: namespace of the run.
        run: its id.
        pipeline: its name.
        root: location of the run's artifacts; '' for the namespace's default, which is not known here.
    """

    def __init__(self, namespace: str, run: str, pipeline: str, root: str) -> None:
        self._namespace, self._run = namespace, run
        self._artifacts = f"{root.rstrip('/')}/{pipeline}/{run}" if root else ""
        self._kubernetes = connect_kubernetes()
        self._reported: set[str] = set()

    def read(self, event: Event) -> Failure:
        """Return the failure of a task; for a task in a loop, each call returns that of another failed pod."""
        pods = f"--selector {RUN_LABEL}={self._run} --container main --prefix --tail 20"
        command = f"kubectl logs --namespace {self._namespace} {pods}"
        with contextlib.suppress(KubernetesError):
            pod = self._failed_pod(event.node)
            if pod is not None:
                name = pod["metadata"]["name"]
                command = f"kubectl logs --namespace {self._namespace} {name} --container main"
                if sentence := self._sentence_of(pod, event.node):
                    return Failure(sentence, command)
        with contextlib.suppress(HistoforgeError):
            return Failure(self._stored_sentence(event.key), command)
        return Failure("", command)

    def _failed_pod(self, node: str) -> dict[str, Any] | None:
        """Return the last attempt of a node that has not been reported yet."""
        if self._kubernetes is None:
            return None
        latest: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {}
        for pod in self._kubernetes.pods(self._namespace, f"{RUN_LABEL}={self._run}"):
            name, attempts = split_node(pod["metadata"].get("annotations", {}).get(NODE_NAME, ""))
            if name.endswith(f".{node}") and (name not in latest or attempts >= latest[name][0]):
                latest[name] = (attempts, pod)
        for _, pod in latest.values():
            name = pod["metadata"]["name"]
            if pod.get("status", {}).get("phase") == "Failed" and name not in self._reported:
                self._reported.add(name)
                return pod
        return None

    def _sentence_of(self, pod: dict[str, Any], node: str) -> str:
        assert self._kubernetes is not None
        if reason := pod_reason(pod):
            return reason
        log = self._kubernetes.log(self._namespace, pod["metadata"]["name"], LINES)
        return driver_sentence(log) if node.endswith(DRIVER) else last_sentence(log)

    def _stored_sentence(self, key: str) -> str:
        """Return the last line that the only task with that key stored; '' if there are several such tasks.

        Raises:
            HistoforgeError: if the store cannot be read from here.
        """
        from histoforge.storage.opening import open_location

        if not self._artifacts:
            return ""
        location = open_location(self._artifacts).child(key)
        logs = [entry.name for entry in location.entries() if "/executor-logs" in entry.name]
        if len({name.partition("/")[0] for name in logs}) != 1:
            return ""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log"
            location.get(max(logs, key=lambda name: (len(name), name)), path)
            return last_sentence(path.read_text(encoding="utf-8", errors="replace"))
