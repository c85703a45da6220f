"""The metadata store of Kubeflow Pipelines, as far as a run reads back from it what it wrote there.

Reproduces backend/src/v2/metadata (client.go, converter.go, model.go) of kubeflow/pipelines; see docs/backend.md.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = Any
Kind = Literal["dag", "container", "importer"]
SUCCEEDED = ("COMPLETE", "CACHED")


class BackendError(Exception):
    """A task that the backend itself fails; the message is that of its source."""


@dataclass
class Artifact:
    """An artifact that the store has recorded, with its metadata as properties."""

    id: int
    uri: str
    properties: dict[str, Json]


@dataclass
class Execution:
    """A run of a DAG, of one of its iterations, or of a task.

    Attributes:
        inputs, outputs: parameters by name.
        input_artifacts: ids by name.
        output_artifacts: ids by name.
        iteration_count: of the execution that heads a loop.
        iteration_index: of one iteration of a loop.
        dag_outputs: of a DAG: the `outputs` of its specification.
    """

    id: int
    kind: Kind
    task: str
    parent: int | None = None
    state: str = "RUNNING"
    inputs: dict[str, Json] = field(default_factory=dict)
    outputs: dict[str, Json] = field(default_factory=dict)
    input_artifacts: dict[str, list[int]] = field(default_factory=dict)
    output_artifacts: dict[str, int] = field(default_factory=dict)
    iteration_count: int | None = None
    iteration_index: int | None = None
    dag_outputs: Mapping[str, Json] = field(default_factory=dict)


class MetadataStore:
    """Executions and artifacts of one run."""

    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.artifacts: list[Artifact] = []

    def create(self, kind: Kind, task: str, **attributes: Any) -> Execution:
        """Record the start of an execution."""
        execution = Execution(len(self.executions) + 1, kind, task, **attributes)
        self.executions.append(execution)
        return execution

    def record_artifact(self, name: str, uri: str, metadata: Mapping[str, Json]) -> Artifact:
        """Record an output artifact (RecordArtifact, toMLMDArtifact).

        Raises:
            BackendError: the metadata hold something that the store has no type for.
        """
        properties = {key: _to_property(value) for key, value in metadata.items() if key != "_kfp_workspace"}
        properties.setdefault("display_name", name)
        properties.setdefault("store_session_info", '{"Provider":"minio","Params":{"fromEnv":"false"}}')
        artifact = Artifact(len(self.artifacts) + 1, uri, properties)
        self.artifacts.append(artifact)
        return artifact

    def child(self, dag: Execution, task: str) -> Execution | None:
        """The execution of a task in a DAG, of which there may be one (GetExecutionsInDAG).

        Raises:
            BackendError: there are two.
        """
        executions = [
            execution
            for execution in self.executions
            if execution.parent == dag.id and execution.task == task and execution.iteration_index is None
        ]
        if len(executions) > 1:
            raise BackendError(
                f"two tasks have the same task name {task!r}, id1={executions[0].id} id2={executions[1].id}"
            )
        return executions[0] if executions else None

    def iteration(self, head: Execution, index: int) -> Execution:
        """One iteration of a loop."""
        (execution,) = (e for e in self.executions if e.parent == head.id and e.iteration_index == index)
        return execution

    def parent_artifacts(self, dag: Execution) -> dict[str, Json]:
        """The input artifacts of a DAG, as its tasks see them (GetInputArtifactsByExecutionID).

        Names are looked up by artifact, and each artifact replaces the one before: of a list the last one is left, and
        an artifact that the DAG got under two names has one of them.
        """
        names = {artifact: name for name, ids in dag.input_artifacts.items() for artifact in ids}
        artifacts = [artifact for artifact in self.artifacts if artifact.id in names]
        return {names[artifact.id]: {"artifacts": [runtime_artifact(artifact)]} for artifact in artifacts}


def runtime_artifact(artifact: Artifact) -> dict[str, Json]:
    """An artifact as tasks get it (toRuntimeArtifact): its name is its id, and it has no type."""
    return {"name": str(artifact.id), "uri": artifact.uri, "metadata": dict(artifact.properties)}


def struct_value(value: Json) -> Json:
    """A JSON value as a google.protobuf.Value holds it: all numbers are doubles.

    Raises:
        BackendError: a number is not finite; JSON of protobuf has none.
    """
    if isinstance(value, Mapping):
        return {str(key): struct_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [struct_value(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise BackendError(f"proto: google.protobuf.Value: invalid number {value}")
        return float(value)
    return value


def go_json(value: Json) -> str:
    """JSON as Go's protojson writes it: doubles that are whole have no decimal point."""
    return json.dumps(_whole(value), ensure_ascii=False, allow_nan=False)


def to_text(value: Json) -> str:
    """A value as text (PbValueToText)."""
    if value is None:
        return ""
    return value if isinstance(value, str) else go_json(value)


def _whole(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value


def _to_property(value: Json) -> Json:
    """A metadata value as a property and back (StructValueToMLMDValue, toRuntimeArtifact)."""
    if value is None:
        raise BackendError("failed to convert RuntimeArtifact to MLMD artifact: unknown/unsupported value type Null")
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, list):
        return {"list": value}
    return {"struct": dict(value)} if isinstance(value, Mapping) else value
