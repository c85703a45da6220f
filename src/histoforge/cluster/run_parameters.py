"""The parameters of a run: those given and those of a resource profile, checked before anything starts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from histoforge.cluster.packages import Package
from histoforge.core.errors import SettingsError

UNIFIED = ("backbones", "ratios", "networks", "two_stages")
"""Parameters of the pipeline `unified` that its plan checks."""
PATHUP = ("backbones", "baselines", "upscalers")
"""The same of the pipeline `pathup`."""


def run_parameters(package: Package, profile: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run.

    Args:
        package: the pipeline.
        profile: name of a resource profile, or path of a file that contains one; '' for the pipeline's own defaults.
        given: parameters by name; they take precedence over the profile's.

    Raises:
        SettingsError: an unknown profile or parameter, a value of the wrong type, a secret, a preset or override that
            no step takes, or more GPUs than a node of the profile's pool has.
    """
    from histoforge_pipelines.profiles import check_profile, profile_named

    try:
        chosen = profile_named(profile or "gpu")
        defaults = {name: value for name, value in chosen.parameters.items() if profile and name in package.inputs}
        checked = package.check({**defaults, **given})
        if "gpu_count" in checked:
            changes = {name: checked[name] for name in chosen.parameters if name in checked}
            check_profile(replace(chosen, **changes), profile or "gpu")
    except ValueError as error:
        raise SettingsError(str(error)) from None
    _check_settings(package, checked)
    return checked


def _check_settings(package: Package, parameters: Mapping[str, Any]) -> None:
    from histoforge.steps.settings import all_settings
    from histoforge.tasks.plan_benchmark import plan_benchmark
    from histoforge.tasks.plan_pathup import plan_pathup
    from histoforge.tasks.plan_unified import plan_unified

    if not {"preset", "overrides", "methods", *UNIFIED, *PATHUP} & set(parameters):
        return
    preset, overrides = str(parameters.get("preset", "")), parameters.get("overrides", {})
    source = str(parameters.get("source") or "source")
    step_settings: dict[str, dict[str, str] | bool] = {"preprocess": {"source": source}}
    if {"methods", "networks", "baselines"} & set(package.inputs):  # each method has its own parameters
        step_settings["train_generator"] = False
    all_settings(preset, overrides, step_settings)
    common: dict[str, Any] = {
        "patch_size": str(parameters.get("patch_size", "")),
        "seed": int(parameters.get("seed", -1)),
        "preset": preset,
        "overrides": overrides,
    }
    if "methods" in parameters:
        plan_benchmark(parameters["methods"], int(parameters.get("generator_seeds", 1)), **common)
    if "networks" in package.inputs:
        plan_unified(**_values(package, parameters, UNIFIED), seeds=int(parameters.get("seeds", 0)), **common)
    if "baselines" in package.inputs:
        plan_pathup(**_values(package, parameters, PATHUP), **common)


def _values(package: Package, parameters: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of some parameters: those given, or else the pipeline's defaults."""
    return {name: parameters.get(name, package.inputs[name].get("defaultValue")) for name in names}
