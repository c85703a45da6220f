"""A task's pod: fetch its artifacts, run the component's command, publish what it wrote.

Reproduces backend/src/v2/component/launcher_v2.go and importer_launcher.go and backend/src/v2/objectstore of
kubeflow/pipelines; see docs/backend.md. A folder stands for the root of each pod, and another for the object store.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from backend.driver import local_path
from backend.metadata import BackendError, Execution, MetadataStore, go_json, struct_value, to_text

Json = Any
LOGS = "executor-logs"
MOUNTS = ("gcs", "minio", "s3", "tmp")


class PodDeleted(Exception):
    """The pod went away with the launcher, as when its node is drained: nothing is published."""


class Runner(Protocol):
    """Runs the command of a pod."""

    def prefix(self, pod: Path) -> str:
        """Return what the command sees before /minio and the other mounts: '' where they are at the root."""

    def run(self, image: str, command: Sequence[str], environment: Mapping[str, str], pod: Path, log: Path) -> int:
        """Run `command` of an image, write what it prints to `log`, and return its exit status.

        Raises:
            PodDeleted: the pod was deleted before the command ended.
        """


class TaskFailed(Exception):
    """A task whose command failed, or whose results the launcher could not publish.

    Attributes:
        task: its name in the pipeline.
        status: exit status of the command; 0 where it ended well and the launcher failed.
        log: what the command printed.
    """

    def __init__(self, task: str, status: int, log: str, reason: str = "") -> None:
        super().__init__(f"{task}: {reason or f'exit status {status}'}\n{log}")
        self.task, self.status, self.log = task, status, log


@dataclass
class Attempt:
    """One attempt at a task: what it was started with, and how it ended.

    Attributes:
        status: exit status; None where the pod was deleted.
    """

    task: str
    command: list[str]
    executor_input: dict[str, Json]
    pod: Path
    status: int | None = None


@dataclass
class Launcher:
    """Runs the pods of one run.

    Attributes:
        store: the run's metadata.
        runner: runs commands.
        folder: gets the pods.
        objects: the object store, a folder by scheme and bucket.
        attempts: all attempts so far, in their order.
    """

    store: MetadataStore
    runner: Runner
    folder: Path
    objects: Path
    attempts: list[Attempt] = field(default_factory=list)

    def launch(
        self,
        execution: Execution,
        executor_input: Mapping[str, Json],
        component: Mapping[str, Json],
        container: Mapping[str, Json],
        retry: int,
    ) -> None:
        """Run one attempt at a task (Execute, executeV2) and publish its outputs.

        Raises:
            TaskFailed: the command failed, or what it wrote cannot be published; its log is published alone.
            PodDeleted: nothing is published.
        """
        pod = self.folder / "pods" / f"{len(self.attempts)}-{execution.task}-{retry}"
        for mount in MOUNTS:
            (pod / mount).mkdir(parents=True)
        given: dict[str, Json] = json.loads(json.dumps(executor_input))
        log_artifact = given["outputs"]["artifacts"][LOGS]["artifacts"][0]
        log_artifact["uri"] += f"-{retry}"
        for artifact in _artifacts(given["inputs"]["artifacts"]):
            self._download(artifact["uri"], pod)
        for artifact in _artifacts(given["outputs"]["artifacts"]):
            _inside(pod, local_path(artifact["uri"])).parent.mkdir(parents=True, exist_ok=True)
        for parameter in given["outputs"]["parameters"].values():
            _inside(pod, parameter["outputFile"]).parent.mkdir(parents=True, exist_ok=True)
        command = self._command(given, component, container, self.runner.prefix(pod))
        environment = {"KFP_RETRY_INDEX": str(retry)}
        environment.update({variable["name"]: variable["value"] for variable in container.get("env", [])})
        attempt = Attempt(execution.task, command, given, pod)
        self.attempts.append(attempt)
        log = _inside(pod, local_path(log_artifact["uri"]))
        attempt.status = self.runner.run(container["image"], command, environment, pod, log)
        try:
            if attempt.status:
                raise BackendError(f"exit status {attempt.status}")
            self._publish(execution, given, component, pod)
            execution.state = "COMPLETE"
        except BackendError as error:
            execution.state = "FAILED"
            self._upload(log_artifact["uri"], pod)
            execution.output_artifacts = {LOGS: self.store.record_artifact(LOGS, log_artifact["uri"], {}).id}
            text = log.read_text(encoding="utf-8")
            raise TaskFailed(execution.task, attempt.status, text, str(error)) from error

    def import_artifact(
        self,
        dag: Execution,
        name: str,
        task: Mapping[str, Json],
        component: Mapping[str, Json],
        spec: Mapping[str, Json],
    ) -> None:
        """Record the artifact of an importer (importer_launcher.go); whether anything is there, nobody looks.

        Raises:
            BackendError: the location is missing, or of a store that is not known.
        """
        uri = spec["artifactUri"].get("constant", "")
        if parameter := spec["artifactUri"].get("runtimeParameter"):
            given = task["inputs"]["parameters"][parameter].get("componentInputParameter", "")
            if given not in dag.inputs:
                raise BackendError(f"error resolving artifact URI: parent DAG does not have input parameter {given}")
            uri = dag.inputs[given]
        if not uri:
            raise BackendError("empty artifact URI")
        if not str(uri).startswith(("gs://", "s3://", "minio://", "mem://")):
            raise BackendError(f"no provider scheme found in artifact URI: {uri}")
        (output,) = component["outputDefinitions"]["artifacts"]
        execution = self.store.create("importer", task.get("taskInfo", {}).get("name", name), parent=dag.id)
        metadata = struct_value(spec.get("metadata", {}))
        execution.output_artifacts[output] = self.store.record_artifact(output, uri, metadata).id
        execution.state = "COMPLETE"

    def _command(
        self, given: Mapping[str, Json], component: Mapping[str, Json], container: Mapping[str, Json], prefix: str
    ) -> list[str]:
        """The command with its placeholders filled in, defaults of parameters included (compileCmdAndArgs)."""
        defined = component.get("inputDefinitions", {}).get("parameters", {})
        defaults = {
            name: struct_value(spec["defaultValue"]) for name, spec in defined.items() if "defaultValue" in spec
        }
        parameters = {**defaults, **given["inputs"]["parameterValues"]}
        outputs = json.loads(json.dumps(given["outputs"]))
        outputs["outputFile"] = prefix + outputs["outputFile"]
        for parameter in outputs["parameters"].values():
            parameter["outputFile"] = prefix + parameter["outputFile"]
        whole = {"inputs": {**given["inputs"], "parameterValues": parameters}, "outputs": outputs}
        placeholders = {f"{{{{$.inputs.parameters['{name}']}}}}": to_text(value) for name, value in parameters.items()}
        text = go_json({side: {key: value for key, value in values.items() if value} for side, values in whole.items()})
        command = []
        for word in (*container["command"], *container.get("args", [])):
            filled = word.replace("{{$}}", text)
            for placeholder, value in placeholders.items():
                filled = filled.replace(placeholder, value)
            command.append(filled)
        return command

    def _publish(
        self, execution: Execution, given: Mapping[str, Json], component: Mapping[str, Json], pod: Path
    ) -> None:
        """Read output parameters, upload and record output artifacts."""
        written = _read_outputs(_inside(pod, given["outputs"]["outputFile"]))
        parameters = written.get("parameterValues", {})
        defined = component.get("outputDefinitions", {}).get("parameters", {})
        for name, parameter in given["outputs"]["parameters"].items():
            if name not in parameters:
                file = _inside(pod, parameter["outputFile"])
                if not file.is_file():
                    raise BackendError(f"failed to read output parameter name={name!r}: no such file")
                parameters[name] = _from_text(file.read_text(encoding="utf-8"), defined[name]["parameterType"])
        recorded = {}
        for name, provisioned in given["outputs"]["artifacts"].items():
            artifact = provisioned["artifacts"][0]
            reported = written.get("artifacts", {}).get(name, {}).get("artifacts", [{}])[0] if name != LOGS else {}
            uri = reported.get("uri") or artifact["uri"]
            metadata = {**artifact.get("metadata", {}), **(reported.get("metadata") or {})}
            self._upload(uri, pod)
            recorded[name] = self.store.record_artifact(name, uri, metadata).id
        execution.outputs, execution.output_artifacts = parameters, recorded

    def stored(self, uri: str) -> Path:
        """Return the path of an artifact in the object store."""
        return self.objects / local_path(uri).lstrip("/")

    def _upload(self, uri: str, pod: Path) -> None:
        """Copy files, not empty folders, to the store; a task need not write an artifact (UploadBlob)."""
        source = _inside(pod, local_path(uri))
        for file in [source] if source.is_file() else sorted(path for path in source.rglob("*") if not path.is_dir()):
            target = self.stored(uri) / file.relative_to(source) if file != source else self.stored(uri)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)

    def _download(self, uri: str, pod: Path) -> None:
        """Copy what is stored under a location into the pod; nothing there is no error (DownloadBlob)."""
        source, target = self.stored(uri), _inside(pod, local_path(uri))
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        elif source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)


def _artifacts(named: Mapping[str, Json]) -> list[Json]:
    return [artifact for listed in named.values() for artifact in listed["artifacts"]]


def _inside(pod: Path, path: str) -> Path:
    return pod / path.lstrip("/")


def _read_outputs(path: Path) -> dict[str, Json]:
    """Return the output of kfp's executor (getExecutorOutputFile); protobuf rejects NaN and infinity as JSON."""
    if not path.is_file():
        return {}

    def refuse(constant: str) -> None:
        raise BackendError(f"failed to unmarshall ExecutorOutput: invalid value {constant}")

    written: dict[str, Json] = struct_value(json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse))
    return written


def _from_text(text: str, kind: str) -> Json:
    """An output parameter's file as a value (TextToPbValue)."""
    if kind == "STRING":
        return text
    try:
        value = struct_value(json.loads(text.strip()))
    except ValueError as error:
        raise BackendError(f"TextToPbValue(text={text!r}, type={kind!r}) failed") from error
    kinds = {"NUMBER_INTEGER": float, "NUMBER_DOUBLE": float, "BOOLEAN": bool, "LIST": list, "STRUCT": dict}
    if not isinstance(value, kinds[kind]):
        raise BackendError(f"TextToPbValue(text={text!r}, type={kind!r}) failed: unexpected type")
    return value
