"""A TrainJob of Kubeflow Trainer (trainer.kubeflow.org/v1alpha1): create it, follow it, delete it."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from histoforge.core.errors import StorageError, TrainingError
from histoforge.core.progress import say
from histoforge.tasks.kubernetes import Kubernetes, KubernetesError

API = ("trainer.kubeflow.org", "v1alpha1", "trainjobs")
RUNTIME = "histoforge-torch"
"""The TrainingRuntime of manifests/components/trainer."""
ENVIRONMENT = ("AWS_", "HISTOFORGE_")
"""Beginnings of the environment variables that the nodes have like the task: above all, the keys of the store."""
LABELS = {"app.kubernetes.io/managed-by": "histoforge"}
QUEUE_LABELS = ("kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class")
"""Labels that the job has like the task."""
FIRST_NODE = "jobset.sigs.k8s.io/jobset-name={},batch.kubernetes.io/job-completion-index=0"
POLL = 5.0
"""Seconds between two looks at a job."""
PATIENCE = 60
"""Looks in a row that may fail before a job is given up as out of reach."""


class TrainJob:
    """The job of one training, which belongs to the digest in its name.

    Args:
        api: Kubernetes; the job is in its namespace.
        name: name of the job.
    """

    def __init__(self, api: Kubernetes, name: str) -> None:
        self.name = name
        self._api = api
        self._logged = ""

    def start(self, nodes: int, pod: dict[str, Any], command: Sequence[str]) -> None:
        """Create the job, or join the one that an earlier attempt at the same task created and that still runs.

        Args:
            nodes: number of nodes.
            pod: the task's pod, whose image and environment each node has; its size is that of the runtime.
            command: command of each node.

        Raises:
            TrainingError: Kubeflow Trainer is not installed, or this service account may not use it.
        """
        manifest = self._manifest(nodes, pod, command)
        while True:
            try:
                job = self._get()
                if job is None and self._api.create(*API, manifest) is not None:
                    say(f"TrainJob {self.name}: created, with {nodes} nodes")
                    return
            except KubernetesError as error:
                if error.status != 409:
                    raise TrainingError(
                        f"The TrainJob {self.name} could not be created ({error}): apply manifests/components/trainer "
                        f"to the namespace '{self._api.namespace}', and run as its service account."
                    ) from None
                continue
            if job is None:
                raise TrainingError(
                    "This cluster has no TrainJobs: install Kubeflow Trainer 2.1 or later and apply "
                    "manifests/components/trainer, or give nodes=1."
                )
            if _condition(job, "Failed") is None and "deletionTimestamp" not in job["metadata"]:
                say(f"TrainJob {self.name}: created by an earlier attempt, and followed from here")
                return
            self.delete()
            time.sleep(POLL)

    def follow(self, gave_up: Callable[[], bool]) -> None:
        """Print what the first node logs until the job ends, or until the nodes give up.

        Args:
            gave_up: returns whether the nodes have met an error that a restart does not mend.

        Raises:
            TrainingError: the job was deleted, or Kubernetes is out of reach; the job may still be running then.
        """
        failures = 0
        while True:
            try:
                self._print_log()
                job = self._get()
                if gave_up():
                    return
                failures = 0
            except (KubernetesError, StorageError) as error:
                failures += 1
                if failures > PATIENCE:
                    raise TrainingError(
                        f"The TrainJob {self.name} is out of reach ({error}): run the task again to follow it."
                    ) from None
            else:
                if job is None:
                    raise TrainingError(f"The TrainJob {self.name} was deleted: run the task again to continue.")
                if ended := _condition(job, "Failed") or _condition(job, "Complete"):
                    break
            time.sleep(POLL)
        with contextlib.suppress(KubernetesError):
            self._print_log()
        say(f"TrainJob {self.name}: {ended.get('message') or ended['type']}")

    def delete(self) -> None:
        """Delete the job, whose nodes get their grace period to write a checkpoint."""
        try:
            self._api.delete(*API, self.name, self._api.namespace)
        except KubernetesError as error:
            if error.status != 403:  # then there is none
                say(f"TrainJob {self.name} could not be deleted ({error}): delete it with kubectl")

    def _get(self) -> dict[str, Any] | None:
        return self._api.get(*API, self.name, self._api.namespace)

    def _print_log(self) -> None:
        """Print the lines of the first node's newest pod that have not been printed yet."""
        for pod in self._api.pods(self._api.namespace, FIRST_NODE.format(self.name))[-1:]:
            name = pod["metadata"]["name"]
            for moment, line in self._api.log_since(self._api.namespace, name, "node", self._logged):
                if moment > self._logged:
                    print(line, flush=True)
                    self._logged = moment

    def _manifest(self, nodes: int, pod: dict[str, Any], command: Sequence[str]) -> dict[str, Any]:
        """Return the job. It belongs to the run's workflow, so that it is deleted with it."""
        main = next(container for container in pod["spec"]["containers"] if container["name"] == "main")
        owners = [
            {**owner, "controller": False, "blockOwnerDeletion": False}
            for owner in pod["metadata"].get("ownerReferences", [])
        ]
        labels = {name: value for name, value in pod["metadata"].get("labels", {}).items() if name in QUEUE_LABELS}
        environment = [
            entry
            for entry in main.get("env", [])
            if entry["name"].startswith(ENVIRONMENT) and entry["name"] != "HISTOFORGE_LOGS"  # a volume of the task
        ]
        group, version, _ = API
        return {
            "apiVersion": f"{group}/{version}",
            "kind": "TrainJob",
            "metadata": {
                "name": self.name,
                "namespace": self._api.namespace,
                "labels": LABELS | labels,
                "ownerReferences": owners,
            },
            "spec": {
                "runtimeRef": {"apiGroup": group, "kind": "TrainingRuntime", "name": RUNTIME},
                "trainer": {
                    "numNodes": nodes,
                    "image": main["image"],
                    "command": list(command),
                    "env": environment,
                },
            },
        }


def _condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """Return a condition of a job if it holds."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind and each["status"] == "True"), None)
