"""The parameters that all pipelines have: their types, defaults and descriptions, written once."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from histoforge_pipelines import resources
from histoforge_pipelines.table import PIPELINES
from kfp import dsl
from kfp.dsl.base_component import BaseComponent

REQUIRED = inspect.Parameter.empty


class Parameter(NamedTuple):
    """Type, default and description of a parameter."""

    type: Any
    default: Any
    about: str


COMMON = {
    "source": Parameter(str, REQUIRED, "folder, or s3:// or minio:// prefix, of the slides or images."),
    "preset": Parameter(
        str,
        "quickstart",
        "name of a preset, which sets the parameters of all steps, such as 'quickstart'; '' for none.",
    ),
    "patch_size": Parameter(
        str, "", "height and width of a patch, px: '96', or '256x128'; '' leaves it to the preset."
    ),
    "slide_mpp": Parameter(float, 0.0, "resolution of slides whose file does not state it, um/px; 0 if it is unknown."),
    "shards": Parameter(
        int,
        0,
        "number of parts of about equal bytes into which the slides are divided, each cut by a task of its own; 0 for "
        "one per 32 GiB.",
    ),
    "slide_cache": Parameter(
        str,
        "",
        "folder or s3:// prefix that keeps what was cut from each slide, so that only new or changed slides are cut "
        "again; '' for none.",
    ),
    "images_location": Parameter(
        str,
        "",
        "folder or s3:// prefix that keeps the pixels of patches and overviews, for sets larger than a disk; '' to "
        "keep them with the sets.",
    ),
    "encoders": Parameter(
        list,
        [],
        "paths or s3:// addresses of the files of encoders, in whose spaces all distances are computed as well; [] "
        "leaves them to the preset and the overrides.",
    ),
    "seeds": Parameter(int, 0, "number of classifiers to train per arm; 0 leaves it to the preset."),
    "seed": Parameter(int, -1, "seed of all random choices; -1 leaves it to the preset and the overrides."),
    "overrides": Parameter(dict, {}, "values for any other parameters of the steps, by 'step.parameter'."),
    "checkpoints": Parameter(
        str, "", "folder or s3:// prefix for checkpoints, from which a retried task continues; '' for none."
    ),
}
"""Parameters about data and settings."""

TEST_SOURCE = Parameter(
    str,
    "",
    "folder, or s3:// or minio:// prefix, of slides or images of other patients, such as those of another hospital, on "
    "which all arms are tested as well; nothing is chosen on them; '' for none.",
)
"""Parameter of the pipelines that compare arms: an external test."""

RESOURCES = {
    "gpu_count": Parameter(str, resources.GPU_COUNT, "number of GPUs of a task; '0' to run on CPUs only."),
    "gpu_type": Parameter(str, resources.GPU_TYPE, "resource name of the GPU."),
    "cpu": Parameter(str, resources.CPU, "number of CPU cores of a task."),
    "cpu_cutting": Parameter(str, resources.CPU_CUTTING, "cores of tasks that cut patches; '' for the value of cpu."),
    "cpu_training": Parameter(str, resources.CPU_TRAINING, "cores of tasks that train; '' for the value of cpu."),
    "cpu_evaluating": Parameter(
        str,
        resources.CPU_EVALUATING,
        "cores of tasks that select, score, evaluate or publish; '' for the value of cpu.",
    ),
    "memory": Parameter(str, resources.MEMORY, "memory of a task, as a whole number of Gi or Mi."),
    "memory_cutting": Parameter(
        str, resources.MEMORY_CUTTING, "memory of tasks that cut patches; '' for the value of memory."
    ),
    "memory_training": Parameter(
        str, resources.MEMORY_TRAINING, "memory of tasks that train; '' for the value of memory."
    ),
    "memory_evaluating": Parameter(
        str,
        resources.MEMORY_EVALUATING,
        "memory of tasks that select, score, evaluate or publish; '' for the value of memory.",
    ),
    "node_selector": Parameter(dict, resources.NODE_SELECTOR, "labels that a node must have to run a task."),
    "tolerations": Parameter(
        list,
        resources.TOLERATIONS,
        "tolerations of node taints, besides nvidia.com/gpu, which GPU tasks always tolerate.",
    ),
    "storage_secret": Parameter(
        str,
        resources.STORAGE_SECRET,
        "name of the secret with accesskey, secretkey and endpoint of the S3 server; it need not exist.",
    ),
}
"""Parameters about the cluster: the fields of `resources.Pool`."""


@dataclass(frozen=True)
class RunParameters:
    """The parameters of a run that all pipelines have: those of `COMMON`, and a pool made of `RESOURCES`.

    Attributes:
        fixed: settings that the pipeline sets itself, from its entry in `PIPELINES`.
    """

    source: Any
    preset: Any
    patch_size: Any
    slide_mpp: Any
    shards: Any
    slide_cache: Any
    images_location: Any
    encoders: Any
    seeds: Any
    seed: Any
    overrides: Any
    checkpoints: Any
    pool: resources.Pool
    fixed: Mapping[str, Any]

    @property
    def slides(self) -> dict[str, Any]:
        """The parameters about slides, by the names that `scan_source` and `preprocess` have for them."""
        return {"source": self.source, "patch_size": self.patch_size, "slide_mpp": self.slide_mpp}

    @property
    def settings(self) -> dict[str, Any]:
        """Seed, preset and the overrides of all steps."""
        return {"seed": self.seed, "preset": self.preset, "overrides": self.overrides}


def pipeline(name: str) -> Callable[[Callable[..., Any]], BaseComponent]:
    """Return a decorator that makes a kfp pipeline of a function `(run: RunParameters, own parameters…)`.

    kfp reads a pipeline's parameters from its signature and docstring. The decorator adds those of `COMMON` and
    `RESOURCES` to the function's own ones. A description in the function's docstring overrides the common one.

    Args:
        name: the pipeline's name in `PIPELINES`.
    """
    entry = PIPELINES[name]

    def decorate(function: Callable[..., Any]) -> BaseComponent:
        signature = inspect.signature(function)
        specific_parameters = list(signature.parameters.values())[1:]
        common_parameters = [common_parameter(name, common) for name, common in {**COMMON, **RESOURCES}.items()]
        parameters = sorted(
            [*specific_parameters, *common_parameters], key=lambda parameter: parameter.default is not REQUIRED
        )

        def build(*values: Any) -> Any:
            named = dict(zip((parameter.name for parameter in parameters), values, strict=True))
            pool = resources.Pool(**{name: named[name] for name in RESOURCES})
            run = RunParameters(**{name: named[name] for name in COMMON}, pool=pool, fixed=entry.fixed)
            return function(run, **{parameter.name: named[parameter.name] for parameter in specific_parameters})

        returns = signature.return_annotation
        describe(build, function.__name__, _docstring(function), parameters, returns)
        return dsl.pipeline(name=entry.name, display_name=entry.title)(build)

    return decorate


def describe(
    build: Callable[..., Any], name: str, docstring: str, parameters: list[inspect.Parameter], returns: Any
) -> None:
    """Give a function the name, docstring and signature that kfp reads."""
    build.__name__, build.__doc__ = name, docstring
    build.__signature__ = inspect.Signature(parameters, return_annotation=returns)
    annotations = {parameter.name: parameter.annotation for parameter in parameters}
    build.__annotations__ = annotations if returns is REQUIRED else {**annotations, "return": returns}


def common_parameter(name: str, common: Parameter) -> inspect.Parameter:
    """Return a parameter of a signature."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, kind, default=common.default, annotation=common.type)


def _docstring(function: Callable[..., Any]) -> str:
    """Return the function's docstring with the descriptions of the common parameters."""
    import docstring_parser  # which comes with kfp

    text = inspect.getdoc(function) or ""
    documented = [each for each in docstring_parser.parse(text).params if each.arg_name != "run"]
    specific_descriptions = {each.arg_name: str(each.description) for each in documented}
    descriptions = {name: common.about for name, common in {**COMMON, **RESOURCES}.items()} | specific_descriptions
    if "test_source" in inspect.signature(function).parameters:
        descriptions["test_source"] = TEST_SOURCE.about
    lines = [f"    {name}: {' '.join(about.split())}" for name, about in descriptions.items()]
    return "\n".join([text.partition("\nArgs:")[0].strip(), "", "Args:", *lines])
