"""Resolve the parameters and artifacts that the driver hands to a task from the pipeline's specification.

Reproduces backend/src/v2/driver (resolve.go, container.go, dag.go, driver.go) and backend/src/v2/expression of
kubeflow/pipelines; see docs/backend.md. Error messages are those of the source, so that they can be looked up.
"""

import ast
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from backend.metadata import SUCCEEDED, BackendError, Execution, MetadataStore, runtime_artifact, struct_value, to_text

Json = Any
_SELECTOR = re.compile(r'parseJson\(string_value\)\["([^"]+)"\]')
_FIELD = re.compile(r"inputs\.parameter_values\['([^']+)'\]")
_KINDS = {"NUMBER_DOUBLE": float, "NUMBER_INTEGER": float, "BOOLEAN": bool, "LIST": list, "STRUCT": dict}


class Resolver:
    """Resolves the inputs of tasks against what a run has recorded so far."""

    def __init__(self, store: MetadataStore, run: Mapping[str, str]) -> None:
        """Take the metadata of the run, and its placeholders by name, such as '{{$.pipeline_job_uuid}}'."""
        self.store = store
        self.run = run

    def inputs(
        self, dag: Execution, task: Mapping[str, Json], component: Mapping[str, Json], index: int | None
    ) -> dict[str, Json]:
        """Return `parameterValues` and `artifacts` of a task (resolveInputs).

        Args:
            dag: the execution that the task belongs to; for an iteration, the head of its loop.
            task: the task's specification.
            component: the specification of its component.
            index: of the iteration, for the DAG of one.

        Raises:
            BackendError: as the driver fails.
        """
        if index is not None:
            parameters, artifacts = self._iteration(dag, task, index), self.store.parent_artifacts(dag)
        else:
            parameters = self._parameters(dag, task, component)
            artifacts = {
                name: self._artifact(dag, name, spec)
                for name, spec in task.get("inputs", {}).get("artifacts", {}).items()
            }
        _select(parameters, task)
        _check_types(parameters, task, component, index)
        return {"parameterValues": parameters, "artifacts": artifacts}

    def items(self, task: Mapping[str, Json], inputs: Mapping[str, Json]) -> list[Json]:
        """Return what a loop iterates over, and keep a constant list among the inputs for its iterations (dag.go)."""
        iterator = task["parameterIterator"]
        name = iterator["items"].get("inputParameter", "")
        if name:
            if name not in inputs["parameterValues"]:
                raise BackendError(f"iterating on item input {iterator['itemInput']!r} failed: cannot find input")
            return _items(inputs["parameterValues"][name])
        value = struct_value(json.loads(iterator["items"]["raw"]))
        inputs["parameterValues"][iterator["itemInput"]] = value
        return _items(value)

    def _iteration(self, head: Execution, task: Mapping[str, Json], index: int) -> dict[str, Json]:
        iterator = task["parameterIterator"]
        name = iterator["items"].get("inputParameter") or iterator["itemInput"]
        parameters = dict(head.inputs)
        item = _items(parameters.pop(name))[index]
        return {**parameters, iterator["itemInput"]: item}

    def _parameters(self, dag: Execution, task: Mapping[str, Json], component: Mapping[str, Json]) -> dict[str, Json]:
        given = task.get("inputs", {}).get("parameters", {})
        defined = component.get("inputDefinitions", {}).get("parameters", {})
        parameters: dict[str, Json] = {}
        if "dag" in component:
            optional = {name: spec for name, spec in defined.items() if spec.get("isOptional") and name not in given}
            parameters = {name: struct_value(spec.get("defaultValue")) for name, spec in optional.items()}
        for name, spec in given.items():
            value = self._parameter(dag, spec)
            if value is not None:
                parameters[name] = value
            elif not defined.get(name, {}).get("isOptional"):
                raise BackendError(f"the resolved input parameter is null: {name}")
        return parameters

    def _parameter(self, dag: Execution, spec: Mapping[str, Json]) -> Json:
        if "componentInputParameter" in spec:
            name = spec["componentInputParameter"]
            if name not in dag.inputs:
                raise BackendError(f"parent DAG does not have input parameter {name}")
            return dag.inputs[name]
        if "taskOutputParameter" in spec:
            output = spec["taskOutputParameter"]
            return self._upstream(dag, output["producerTask"], output["outputParameterKey"], "parameters")
        if "constant" in spec.get("runtimeValue", {}):
            value = struct_value(spec["runtimeValue"]["constant"])
            return self.run.get(value, value) if isinstance(value, str) else value
        raise BackendError(f"parameter spec {spec} not implemented yet")

    def _artifact(self, dag: Execution, name: str, spec: Mapping[str, Json]) -> Json:
        if "componentInputArtifact" in spec:
            key = spec["componentInputArtifact"]
            artifacts = self.store.parent_artifacts(dag)
            if key not in artifacts:
                raise BackendError(
                    f"failed to resolve input artifact {name}: parent DAG does not have input artifact {key}"
                )
            return artifacts[key]
        output = spec["taskOutputArtifact"]
        artifacts = self._upstream(dag, output["producerTask"], output["outputArtifactKey"], "artifacts")
        return {"artifacts": artifacts if isinstance(artifacts, list) else [artifacts]}

    def _upstream(self, dag: Execution, producer: str, key: str, kind: str) -> Json:
        execution = self.store.child(dag, producer)
        if execution is None:
            raise BackendError(f"producer task, {producer}, not in tasks")
        return self.output(execution, key, kind)

    def output(self, execution: Execution, key: str, kind: str) -> Json:
        """The output of a task, of the task that makes it inside a DAG, or of all iterations of a loop as a list."""
        if execution.iteration_count:
            return self._collect(execution, key, kind)
        if execution.kind == "dag":
            subtask, inner_key = self._producer(execution, key, kind)
            return self._upstream(execution, subtask, inner_key, kind)
        if kind == "parameters":
            return execution.outputs.get(key)
        if key not in execution.output_artifacts:
            raise BackendError(f"cannot find output artifact key {key!r} in producer task {execution.task!r}")
        artifact = self.store.artifacts[execution.output_artifacts[key] - 1]
        return {**runtime_artifact(artifact), "type": {"instanceSchema": ""}}

    def _collect(self, loop: Execution, key: str, kind: str) -> list[Json]:
        """The outputs of all iterations in their order, those of inner loops in the same flat list (CollectInputs)."""
        collected = []
        for index in range(loop.iteration_count or 0):
            iteration = self.store.iteration(loop, index)
            subtask, inner_key = self._producer(iteration, key, kind)
            execution = self.store.child(iteration, subtask)
            if execution is not None and execution.iteration_count:
                collected += self._collect(execution, inner_key, kind)
            else:
                collected.append(self._upstream(iteration, subtask, inner_key, kind))
        return collected

    def _producer(self, dag: Execution, key: str, kind: str) -> tuple[str, str]:
        """The task inside a DAG that makes one of its outputs (GetProducerTask)."""
        spec = dag.dag_outputs.get(kind, {}).get(key)
        if spec is None:
            raise BackendError(f"output key {key!r} not found in parent task {dag.task!r} (dag ID {dag.id})")
        if kind == "artifacts":
            options = [(option["producerSubtask"], option["outputArtifactKey"]) for option in spec["artifactSelectors"]]
        elif "valueFromParameter" in spec:
            value = spec["valueFromParameter"]
            options = [(value["producerSubtask"], value["outputParameterKey"])]
        else:
            selectors = spec["valueFromOneof"]["parameterSelectors"]
            options = [(option["producerSubtask"], option["outputParameterKey"]) for option in selectors]
        if len(options) == 1:
            return options[0]
        for subtask, inner_key in options:
            execution = self.store.child(dag, subtask)
            if execution is not None and execution.state in SUCCEEDED:
                return subtask, inner_key
        raise BackendError(f"processing OneOf: No successful task found for output key {key!r}")


def root_inputs(definitions: Mapping[str, Json], arguments: Mapping[str, Json]) -> dict[str, Json]:
    """The parameters of a run: what was given, checked as the API server does, and defaults (argo.go).

    Raises:
        BackendError: an argument is missing, unknown or of another type.
    """
    values = {name: struct_value(value) for name, value in arguments.items()}
    if unknown := sorted(set(values) - set(definitions)):
        raise BackendError(f"parameter(s) provided are not required by pipeline: {', '.join(unknown)}")
    for name, spec in definitions.items():
        if name not in values:
            if not spec.get("isOptional") and "defaultValue" not in spec:
                raise BackendError(f"parameter {name} is not optional, yet has neither default value nor value")
            values[name] = struct_value(spec.get("defaultValue"))
        elif not isinstance(values[name], _KINDS.get(spec["parameterType"], str)):
            raise BackendError(f"input parameter {name} requires type {spec['parameterType']}")
    return values


def outputs(root: str, task: str, component: Mapping[str, Json]) -> dict[str, Json]:
    """Return the outputs of a task (provisionOutputs): a new folder below the pipeline's root, and `executor-logs`."""
    defined = component.get("outputDefinitions", {})
    task_root = f"{root}/{task}/{uuid.uuid4()}"
    artifacts = {**defined.get("artifacts", {}), "executor-logs": {"artifactType": {"schemaTitle": "system.Artifact"}}}
    return {
        "artifacts": {
            name: {"artifacts": [{"name": name, "uri": f"{task_root}/{name}", "type": spec["artifactType"]}]}
            for name, spec in artifacts.items()
        },
        "parameters": {name: {"outputFile": f"/tmp/kfp/outputs/{name}"} for name in defined.get("parameters", {})},
        "outputFile": f"{local_path(task_root)}/output_metadata.json",
    }


def local_path(uri: str) -> str:
    """Return the path to which the launcher copies an artifact inside the pod (LocalPathForURI).

    Raises:
        BackendError: the store is one that the launcher does not know.
    """
    for scheme, mount in (("gs://", "/gcs/"), ("minio://", "/minio/"), ("s3://", "/s3/")):
        if uri.startswith(scheme):
            return mount + uri.removeprefix(scheme)
    raise BackendError(f"failed to generate local path for URI {uri}: unsupported storage scheme")


def condition_holds(condition: str, parameters: Mapping[str, Json]) -> bool:
    """Return True if a trigger policy lets a task run; understands the CEL that kfp's compiler writes for comparisons.

    Raises:
        BackendError: the condition is not one of those, or its result is not a truth value.
    """
    text = _FIELD.sub(lambda match: f"_v[{match[1]!r}]", condition)
    text = re.sub(r"\btrue\b", "True", re.sub(r"\bfalse\b", "False", text))
    text = text.replace("&&", " and ").replace("||", " or ")
    text = re.sub(r"!(?!=)", " not ", text)
    allowed = (ast.Expression, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Subscript, ast.Name, ast.Constant, ast.Call)
    tree = ast.parse(text.strip(), mode="eval")
    for node in ast.walk(tree):
        if not isinstance(node, (*allowed, ast.expr_context, ast.cmpop, ast.boolop, ast.unaryop)):
            raise BackendError(f"condition {condition!r} is not one that these tests can evaluate")
    names = {"_v": parameters, "int": float, "double": float, "string": to_text, "__builtins__": {}}
    result = eval(compile(tree, "condition", "eval"), names)
    if not isinstance(result, bool):
        raise BackendError(f"evaluation error: return type is not bool, got {result!r}")
    return result


def _items(value: Json) -> list[Json]:
    items = struct_value(json.loads(value)) if isinstance(value, str) else value
    if not isinstance(items, list):
        raise BackendError(f"value of type {type(value).__name__} cannot be iterated")
    return items


def _select(parameters: dict[str, Json], task: Mapping[str, Json]) -> None:
    for name, spec in task.get("inputs", {}).get("parameters", {}).items():
        if selector := spec.get("parameterExpressionSelector"):
            match = _SELECTOR.fullmatch(selector)
            if match is None or name not in parameters:
                raise BackendError(f"resolving parameter {name!r}: evaluation of selector {selector!r} failed")
            fields = struct_value(json.loads(to_text(parameters[name])))
            if match[1] not in fields:
                raise BackendError(f"resolving parameter {name!r}: no such key: {match[1]}")
            parameters[name] = fields[match[1]]


def _check_types(
    parameters: dict[str, Json], task: Mapping[str, Json], component: Mapping[str, Json], index: int | None
) -> None:
    """Check values against their types; anything passes as text, written as JSON."""
    iterator = task.get("parameterIterator")
    skipped = iterator and (iterator["itemInput"] if index is None else iterator["items"].get("inputParameter"))
    for name, spec in component.get("inputDefinitions", {}).get("parameters", {}).items():
        if name == skipped:
            continue
        value, kind = parameters.get(name), spec["parameterType"]
        if value is None:
            if not spec.get("isOptional") and "defaultValue" not in spec:
                raise BackendError(f"neither value nor default value provided for non-optional parameter {name!r}")
        elif kind == "STRING":
            parameters[name] = to_text(value)
        elif not isinstance(value, _KINDS[kind]):
            raise BackendError(f"input parameter {name!r} type mismatch: expect {kind}, got {type(value).__name__}")
