"""The cluster under check, and the temporary names of everything that a check creates there."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from histoforge.cli.kubeflow.check.tiny import arguments_of, write_images
from histoforge.cli.kubeflow.client import ENDED, KubeflowClient
from histoforge.cli.kubeflow.failures import FailureReader
from histoforge.cli.kubeflow.follow import watch_run
from histoforge.cluster.packages import Package, open_package
from histoforge.cluster.run_parameters import run_parameters
from histoforge.cluster.schedules import RecurringRun
from histoforge.core.errors import HistoforgeError
from histoforge.core.progress import say
from histoforge.storage.location import Location
from histoforge.storage.opening import open_location
from histoforge.tasks.kubernetes import Kubernetes


class CheckFailed(HistoforgeError):
    """The cluster does not behave as it should."""


@dataclass(frozen=True)
class Options:
    """The options of a check.

    Attributes:
        store: s3:// or minio:// prefix that tasks and this machine can write below.
        image: image of all tasks; '' for the images that the pipelines were compiled with.
        profile: resource profile of the runs.
        cpu, memory: cores and memory of each task, such as '2' and '4Gi'; '' for the profile's.
        storage_secret, service_account: names in the namespace; '' for the pipelines' defaults.
        every: seconds between two requests for a run.
        limit: seconds after which a check gives up waiting for a run.
        beyond: duration of a training in seconds before its pod is killed.
    """

    store: str
    image: str = ""
    profile: str = "small"
    cpu: str = ""
    memory: str = ""
    storage_secret: str = ""
    service_account: str = ""
    every: float = 5.0
    limit: float = 3600.0
    beyond: float = 330.0


@dataclass
class CheckedCluster:
    """A cluster, with everything that the check has created there so far.

    Attributes:
        name: name of this check, which is part of every name that it assigns.
        options: the options of the check.
        kubeflow: the connection to Kubeflow Pipelines.
        kubernetes: the connection to Kubernetes; None without a kubeconfig.
        runs: ids of the successful runs, by pipeline.
    """

    name: str
    options: Options
    kubeflow: KubeflowClient
    kubernetes: Kubernetes | None
    runs: dict[str, str] = field(default_factory=dict)
    _versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    _source: str = ""

    @property
    def version(self) -> str:
        """The name of the scratch version of each pipeline."""
        return f"check-{self.name}"

    @property
    def scratch(self) -> str:
        """The name of the experiment and of the schedule, and of the prefix below the store."""
        return f"histoforge-check-{self.name}"

    @property
    def mark(self) -> str:
        """The description of a pipeline that did not exist before."""
        return f"Made by histoforge cluster-check {self.name}."

    @property
    def namespace(self) -> str:
        """The namespace of the pods."""
        return self.kubeflow.namespace or "kubeflow"

    def address(self, *names: str) -> str:
        """Return a location below the scratch prefix, as text."""
        return "/".join([self.options.store.rstrip("/"), self.scratch, *names])

    def location(self, *names: str) -> Location:
        """Return a location below the scratch prefix."""
        return open_location(self.address(*names))

    def source(self) -> str:
        """Return the location of the drawn images, which are uploaded at the first call."""
        if not self._source:
            with tempfile.TemporaryDirectory() as folder:
                self.location("source").put_tree(write_images(Path(folder) / "images"))
            self._source = self.address("source")
        return self._source

    def uploaded(self, name: str) -> tuple[str, str]:
        """Return the ids of a pipeline and of its scratch version, which is uploaded at the first call."""
        if name not in self._versions:
            package = open_package(name)
            pipeline = self.kubeflow.pipeline(package.name) or self.kubeflow.create_pipeline(package.name, self.mark)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / package.path.name
                path.write_text(with_image(package.path.read_text(encoding="utf-8"), self.options.image))
                self.kubeflow.upload(pipeline, package.name, path, self.version, self.mark)
            version = self.kubeflow.versions(pipeline)[self.version]
            self._versions[name] = (pipeline, str(version.pipeline_version_id))
        return self._versions[name]

    def definition(self, name: str, given: Mapping[str, Any]) -> RecurringRun:
        """Return the definition of a run with tiny settings, and locations below the scratch prefix."""
        package = open_package(name)
        return RecurringRun(
            name=self.scratch,
            experiment=self.scratch,
            pipeline=package.name,
            version=self.version,
            cron="",
            parameters=run_parameters(package, self.options.profile, self._parameters(name, package, given)),
            catch_up=False,
            at_once=1,
            service_account=self.options.service_account,
            pipeline_root=self.address("artifacts"),
            enabled=True,
        )

    def start(self, name: str, **given: Any) -> str:
        """Start a run of a pipeline, and return its id."""
        definition = self.definition(name, {"source": self.source(), **given})
        run_id = self.kubeflow.start(f"{self.scratch} {name}", self.uploaded(name), definition)
        say(f"  {name}: {self.kubeflow.host}/#/runs/details/{run_id}")
        return run_id

    def wait(self, name: str, run_id: str) -> tuple[str, str]:
        """Wait for a run to end; return its state and the first failure of a task: title, sentence and command.

        Raises:
            CheckFailed: if it takes longer than allowed.
        """
        failures = FailureReader(self.namespace, run_id, open_package(name).name, self.address("artifacts"))
        failed, started = "", time.monotonic()
        state = ""
        for run, events in watch_run(self.kubeflow, run_id, self.uploaded(name), self.options.every):
            for event in events:
                if event.state == "FAILED" and not failed:
                    failure = failures.read(event)
                    failed = f"{event.title}: {failure.sentence or 'no error message was found'} ({failure.command})"
            state = str(run.state)
            if state not in ENDED and time.monotonic() - started > self.options.limit:
                raise CheckFailed(f"The run {run_id} has not ended after {self.options.limit / 60:.0f} min.")
        return state, failed

    def run(self, name: str, **given: Any) -> str:
        """Run a pipeline to its end, once, and return the run's id.

        Raises:
            CheckFailed: if it does not succeed.
        """
        if name not in self.runs:
            run = self.start(name, **given)
            state, failed = self.wait(name, run)
            if state != "SUCCEEDED":
                raise CheckFailed(f"The run {run} {state.lower()}. {failed}".strip())
            self.runs[name] = run
        return self.runs[name]

    def _parameters(self, name: str, package: Package, given: Mapping[str, Any]) -> dict[str, Any]:
        options = self.options
        parameters: dict[str, Any] = {"preset": "", "checkpoints": self.address("checkpoints"), **arguments_of(name)}
        if name == "retraining":
            parameters.update(state=self.address("state"), models=self.address("models"))
        if name == "judge":
            parameters["synthetic"] = [self.source()]
        for size, value in (("cpu", options.cpu), ("memory", options.memory)):
            if value:
                parameters.update({key: value for key in package.inputs if key == size or key.startswith(f"{size}_")})
        if options.storage_secret:
            parameters["storage_secret"] = options.storage_secret
        return {**parameters, **given}


def with_image(text: str, image: str) -> str:
    """Return compiled YAML with every task in one image; '' leaves the images as they are."""
    if not image:
        return text
    spec = next(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    executors = spec["deploymentSpec"]["executors"].values()
    for compiled in {executor["container"]["image"] for executor in executors if "container" in executor}:
        text = text.replace(f"image: {compiled}\n", f"image: {image}\n")
    return text
