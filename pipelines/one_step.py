"""A component as a pipeline of its own, which has what the component's file cannot: GPU, /dev/shm, nodes, time limit.

Resources belong to tasks, so that `component.yaml` has none. The compiled `pipeline.yaml` beside it has them, and is
loaded in a foreign pipeline by the same call.
"""

import inspect
from typing import Any, NamedTuple

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
"""What each such pipeline has besides the component's inputs: type, default, description."""


def needs_gpu(component: BaseComponent) -> bool:
    """Whether a component asks for a GPU, and so comes as a pipeline too."""
    return component.name in resources.ON_GPU


def one_step(component: BaseComponent) -> BaseComponent:
    """The pipeline of one task.

    Args:
        component: one of the project's, made from a Python function.
    """
    spec = component.component_spec
    inputs, outputs = spec.inputs or {}, spec.outputs or {}
    given = inspect.signature(component.python_func)
    own = [one for name, one in given.parameters.items() if name in inputs]
    pool = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
        for name, (kind, default, _) in POOL.items()
    ]
    parameters = sorted([*own, *pool], key=lambda one: one.default is not inspect.Parameter.empty)
    result = NamedTuple("Outputs", [(name, _kind(given, name)) for name in outputs])

    def build(*values: Any) -> Any:
        named = dict(zip((one.name for one in parameters), values, strict=True))
        task = component(**{name: named[name] for name in inputs})
        resources.place(task, resources.Pool(**{name: named[name] for name in POOL}))
        return result(**{name: task.outputs[name] for name in outputs})

    build.__name__ = component.python_func.__name__
    build.__doc__ = _describe(spec)
    build.__signature__ = inspect.Signature(parameters, return_annotation=result)
    build.__annotations__ = {**{one.name: one.annotation for one in parameters}, "return": result}
    return dsl.pipeline(name=f"{component.name}-step")(build)


def _kind(given: inspect.Signature, name: str) -> Any:
    """The type of an output: of an artifact, its class; of a parameter, what the function returns under that name."""
    if name in given.parameters:
        return given.parameters[name].annotation.__origin__
    fields = getattr(given.return_annotation, "__annotations__", {})
    return fields.get(name, given.return_annotation)


def _describe(spec: Any) -> str:
    described = {name: one.description for name, one in (spec.inputs or {}).items()}
    described.update({name: about for name, (_, _, about) in POOL.items()})
    lines = [f"    {name}: {' '.join(about.split())}" for name, about in described.items()]
    results = [f"    {name}: {' '.join(one.description.split())}" for name, one in (spec.outputs or {}).items()]
    return "\n".join([spec.description, "", "Args:", *lines, "", "Returns:", *results])
