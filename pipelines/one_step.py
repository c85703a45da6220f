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

from histoforge.steps.step import SIZES
from histoforge.tasks.table import task_named
from histoforge_pipelines import resources
from histoforge_pipelines.parameters import REQUIRED, RESOURCES, common_parameter, describe
from kfp import dsl
from kfp.dsl.base_component import BaseComponent

ONE_TASK = {
    "gpu_count": "number of GPUs of the task; '0' to run on CPUs only.",
    "cpu": "number of CPU cores of the task.",
    "memory": "memory of the task, as a whole number of Gi or Mi.",
    "tolerations": "tolerations of node taints, besides nvidia.com/gpu, which is always tolerated.",
}
POOL = {
    name: parameter._replace(about=ONE_TASK.get(name, parameter.about))
    for name, parameter in RESOURCES.items()
    if not name.endswith(SIZES)
}
"""Parameters of each such pipeline besides the component's inputs."""

VARIANTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "evaluate": (
        ("baseline",),
        ("baseline", "selective"),
        ("baseline", "selective", "generator", "pool", "selected", "overviews"),
    ),
    "finetune-snn": ((),),
    "publish-model": (("challenger",),),
    "score-generator": (("overviews",),),
    "score-images": ((),),
    "select-samples": (("generator",), ("candidates",), ("pool_in",)),
    "synthesise-images": (("upscaler_model",),),
    "train-autoencoder": ((), ("overviews",)),
    "train-classifier": ((),),
    "train-generator": (
        (),
        ("extractor",),
        ("guide",),
        ("autoencoder", "latents"),
        ("extractor", "autoencoder", "latents"),
    ),
    "train-upscaler": ((),),
}
"""By component, the sets of optional artifacts that get their own file; `pipeline.yaml` takes all artifacts."""

OF_PIPELINE: dict[str, tuple[str, ...]] = {
    "evaluate": ("baseline", "traditional", "selective", "generator", "pool", "selected", "overviews"),
    "score-generator": (),
    "select-samples": ("generator", "pool_in"),
    "synthesise-images": ("guide",),
    "train-generator": ("extractor", "guide"),
}
"""By component, the optional artifacts of `pipeline.yaml` where it takes some: no method uses a guide and latents."""


def one_steps(component: BaseComponent) -> dict[str, BaseComponent]:
    """Return the pipelines of one task by file name.

    Args:
        component: one of the project's components, made from a Python function.

    Returns:
        `pipeline.yaml`, which takes all artifacts or those of `OF_PIPELINE`, and for each of `VARIANTS` a file whose
        name lists the artifacts that it takes; nothing for a component that needs no GPU or requires a list of
        artifacts.
    """
    spec = component.component_spec.inputs or {}
    lists = {name for name, described in spec.items() if described.is_artifact_list}
    if not task_named(component.name).gpu or any(not spec[name].optional for name in lists):
        return {}
    optional = tuple(name for name in artifacts(component) if spec[name].optional and name not in lists)
    pipelines = {"pipeline.yaml": one_step(component, OF_PIPELINE.get(component.name, optional))}
    for chosen in VARIANTS.get(component.name, ()):
        taken = [name for name in artifacts(component) if name in chosen or not spec[name].optional]
        pipelines[f"pipeline-{'-'.join(taken)}.yaml"] = one_step(component, chosen)
    return pipelines


def artifacts(component: BaseComponent) -> list[str]:
    """Return the names of a component's input artifacts in their order."""
    inputs = component.component_spec.inputs or {}
    return [name for name, described in inputs.items() if described.type.startswith("system.")]


def one_step(component: BaseComponent, optional: Collection[str]) -> BaseComponent:
    """Return the pipeline of one task.

    Args:
        component: one of the project's components, made from a Python function.
        optional: the optional artifacts of the component that the pipeline takes; they are required there.
    """
    spec = component.component_spec
    left_out = {name for name in artifacts(component) if spec.inputs[name].optional and name not in optional}
    inputs = {name: described for name, described in (spec.inputs or {}).items() if name not in left_out}
    outputs = spec.outputs or {}
    signature = inspect.signature(component.python_func)
    specific_parameters = [
        parameter.replace(default=REQUIRED) if name in optional else parameter
        for name, parameter in signature.parameters.items()
        if name in inputs
    ]
    parameters = [*specific_parameters, *(common_parameter(name, parameter) for name, parameter in POOL.items())]
    parameters.sort(key=lambda parameter: parameter.default is not REQUIRED)
    result = NamedTuple("Outputs", [(name, _type(signature, name)) for name in outputs])

    def build(*values: Any) -> Any:
        named = dict(zip((parameter.name for parameter in parameters), values, strict=True))
        task = component(**{name: named[name] for name in inputs})
        resources.assign(task, resources.Pool(**{name: named[name] for name in POOL}))
        return result(**{name: task.outputs[name] for name in outputs})

    docstring = _docstring(spec.description, inputs, outputs)
    describe(build, component.python_func.__name__, docstring, parameters, result)
    return dsl.pipeline(name=f"{component.name}-step")(build)


def _type(signature: inspect.Signature, name: str) -> Any:
    """Return the type of an output: the class of an artifact, or the type that the function returns for a parameter."""
    if name in signature.parameters:
        return signature.parameters[name].annotation.__origin__
    fields = getattr(signature.return_annotation, "__annotations__", {})
    return fields.get(name, signature.return_annotation)


def _docstring(description: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str:
    descriptions = {name: described.description for name, described in inputs.items()}
    descriptions.update({name: parameter.about for name, parameter in POOL.items()})
    lines = [f"    {name}: {' '.join(about.split())}" for name, about in descriptions.items()]
    results = [f"    {name}: {' '.join(described.description.split())}" for name, described in outputs.items()]
    return "\n".join([description, "", "Args:", *lines, "", "Returns:", *results])
