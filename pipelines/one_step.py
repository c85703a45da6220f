"""A component as a separate pipeline, with what the component's file cannot have: GPU, /dev/shm, nodes, time limit.

Resources belong to tasks, so `component.yaml` has none. The compiled files `pipeline*.yaml` beside it have them, and
other pipelines load them with the same call. Such a file becomes a nested pipeline there, for which Kubeflow
Pipelines limits artifacts in two ways (kubeflow/pipelines at 7b70c7b95f, backend/src/v2):

- If an artifact is left out, the driver fails, even if it is optional (driver/resolve.go, resolveInputArtifact). So a
  file takes certain artifacts, all of them required, and a component with optional artifacts has several files.
- Only the last artifact of a list arrives (metadata/client.go, GetInputArtifactsByExecutionID). So no file
  takes lists, and a component that requires one has no such file.
"""

import inspect
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from histoforge.tasks.table import task_named
from histoforge_pipelines import resources
from kfp import dsl
from kfp.dsl.base_component import BaseComponent

POOL = {
    "gpu_count": (str, resources.GPU_COUNT, "GPUs of the task; '0' for the processor alone."),
    "gpu_type": (str, resources.GPU_TYPE, "resource name of the GPU."),
    "cpu": (str, resources.CPU, "cores of the task."),
    "memory": (str, resources.MEMORY, "memory of the task, in whole Gi or Mi."),
    "node_selector": (dict, resources.NODE_SELECTOR, "labels of the nodes to run on."),
    "tolerations": (
        list,
        resources.TOLERATIONS,
        "taints of nodes that may be run on, besides nvidia.com/gpu, which is tolerated always.",
    ),
    "storage_secret": (str, resources.STORAGE_SECRET, "secret with keys of the S3 server; it need not exist."),
}
"""Parameters of each such pipeline besides the component's inputs: type, default, description."""


VARIANTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "evaluate": ((), ("selective",), ("selective", "generator", "pool", "selected", "overviews")),
    "finetune-snn": ((),),
    "publish-model": ((),),
    "select-samples": (("generator",), ("pool_in",)),
    "train-classifier": ((),),
    "train-generator": ((), ("extractor",), ("guide",)),
}
"""By component, the sets of optional artifacts that get their own file; `pipeline.yaml` takes all artifacts."""


def needs_gpu(component: BaseComponent) -> bool:
    """Return True if a component requests a GPU, and therefore also comes as a pipeline."""
    return task_named(component.name).gpu


def one_steps(component: BaseComponent) -> dict[str, BaseComponent]:
    """Return the pipelines of one task by file name.

    Args:
        component: one of the project's components, made from a Python function.

    Returns:
        `pipeline.yaml`, which takes all artifacts, and for each of `VARIANTS` a file whose name lists the artifacts
        that it takes; nothing for a component that needs no GPU or requires a list of artifacts.
    """
    spec = component.component_spec.inputs or {}
    lists = {name for name, one in spec.items() if one.is_artifact_list}
    if not needs_gpu(component) or any(not spec[name].optional for name in lists):
        return {}
    optional = tuple(name for name in artifacts(component) if spec[name].optional and name not in lists)
    pipelines = {"pipeline.yaml": one_step(component, optional)}
    for chosen in VARIANTS.get(component.name, ()):
        taken = [name for name in artifacts(component) if name in chosen or not spec[name].optional]
        pipelines[f"pipeline-{'-'.join(taken)}.yaml"] = one_step(component, chosen)
    return pipelines


def artifacts(component: BaseComponent) -> list[str]:
    """Return the names of a component's input artifacts in their order."""
    return [name for name, one in (component.component_spec.inputs or {}).items() if one.type.startswith("system.")]


def one_step(component: BaseComponent, optional: Collection[str]) -> BaseComponent:
    """Return the pipeline of one task.

    Args:
        component: one of the project's components, made from a Python function.
        optional: the optional artifacts of the component that the pipeline takes; they are required there.
    """
    spec = component.component_spec
    left_out = {name for name in artifacts(component) if spec.inputs[name].optional and name not in optional}
    inputs = {name: one for name, one in (spec.inputs or {}).items() if name not in left_out}
    outputs = spec.outputs or {}
    given = inspect.signature(component.python_func)
    own = [
        one.replace(default=inspect.Parameter.empty) if name in optional else one
        for name, one in given.parameters.items()
        if name in inputs
    ]
    pool = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
        for name, (kind, default, _) in POOL.items()
    ]
    parameters = sorted([*own, *pool], key=lambda one: one.default is not inspect.Parameter.empty)
    result = NamedTuple("Outputs", [(name, _kind(given, name)) for name in outputs])

    def build(*values: Any) -> Any:
        named = dict(zip((one.name for one in parameters), values, strict=True))
        task = component(**{name: named[name] for name in inputs})
        resources.assign(task, resources.Pool(**{name: named[name] for name in POOL}))
        return result(**{name: task.outputs[name] for name in outputs})

    build.__name__ = component.python_func.__name__
    build.__doc__ = _describe(spec.description, inputs, outputs)
    build.__signature__ = inspect.Signature(parameters, return_annotation=result)
    build.__annotations__ = {**{one.name: one.annotation for one in parameters}, "return": result}
    return dsl.pipeline(name=f"{component.name}-step")(build)


def _kind(given: inspect.Signature, name: str) -> Any:
    """Return the type of an output: the class of an artifact, or the type that the function returns for a parameter."""
    if name in given.parameters:
        return given.parameters[name].annotation.__origin__
    fields = getattr(given.return_annotation, "__annotations__", {})
    return fields.get(name, given.return_annotation)


def _describe(description: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str:
    described = {name: one.description for name, one in inputs.items()}
    described.update({name: about for name, (_, _, about) in POOL.items()})
    lines = [f"    {name}: {' '.join(about.split())}" for name, about in described.items()]
    results = [f"    {name}: {' '.join(one.description.split())}" for name, one in outputs.items()]
    return "\n".join([description, "", "Args:", *lines, "", "Returns:", *results])
