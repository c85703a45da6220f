"""The settings of steps: from presets, overrides and parameters. Imports nothing heavy."""

from collections.abc import Mapping
from typing import Any, get_args

from histoforge.core.errors import SettingsError
from histoforge.core.settings import StepConfig, nearest, step_values
from histoforge.steps.step import Step
from histoforge.steps.table import STEPS

COUNTED_FROM_ZERO = ("seed", "fold", "control_share")
"""Parameters of components for which 0 is a value, and -1 leaves it to the preset."""


def step_config(
    step: Step, preset: str, overrides: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> StepConfig:
    """Return the settings of a step: the class's defaults, overridden by the preset, then by `given` and `overrides`.

    Args:
        step: the step.
        preset: name of a preset, or '' for none.
        overrides: `step.parameter` or, for every step that has it, `parameter`; `train_generator.dcgan.parameter` for
            a single method.
        given: separate parameters, such as a component's. None, '' and 0 leave a parameter to the preset and the
            overrides. For those of `COUNTED_FROM_ZERO`, 0 is a value like any other, and -1 leaves it to them.

    Raises:
        SettingsError: if a preset, step or parameter is unknown, or a value is out of its bounds or given twice.
    """
    fields = step.config_class.model_fields
    relevant = {name: value for name, value in overrides.items() if "." in name or name in fields}
    parameters = {name: value for name, value in (given or {}).items() if is_given(name, value) or name not in fields}
    variant = _variant(step, preset, relevant, parameters)
    for name, value in step_values(step.section, "", relevant, STEPS, variant).items():
        if name in parameters and parameters[name] != value:
            raise SettingsError(
                f"{step.name}: '{name}' is {parameters[name]!r} as a parameter and {value!r} among the overrides: "
                "leave it out of the overrides."
            )
    return step.config_class.make({**step_values(step.section, preset, relevant, STEPS, variant), **parameters})


def is_given(name: str, value: Any) -> bool:
    """Return False if a component's parameter leaves its value to the preset: see `step_config`."""
    if name in COUNTED_FROM_ZERO:
        return value is not None and value >= 0
    return value not in (None, "", 0)


def step_overrides(step: Step, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides that concern a step: those addressed to it, and parameters that it has.

    `step_config` builds the same settings from them as from all overrides.
    """
    fields = step.config_class.model_fields
    return {
        name: value
        for name, value in overrides.items()
        if (name.partition(".")[0] == step.section if "." in name else name in fields)
    }


def _variant(step: Step, preset: str, overrides: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """Return the variant of the step that its settings select, as `method` does; '' if it has only one.

    Raises:
        SettingsError: if an override names an unknown variant.
    """
    by = step.config_class.variant_by
    if not by:
        return ""
    field = step.config_class.model_fields[by]
    variants = get_args(field.annotation)
    for name in overrides:
        target, _, parameter = name.partition(".")
        variant, dot, _ = parameter.partition(".")
        if target == step.section and dot and variant not in variants:
            raise SettingsError(f"{step.name} has no {by} '{variant}'{nearest(variant, variants)} (in '{name}').")
    return str({by: field.default, **step_values(step.section, preset, overrides, STEPS), **parameters}[by])


def parameters() -> set[str]:
    """Return the names of all parameters of all steps."""
    return {name for step in STEPS.values() for name in step.config_class.model_fields}


def all_settings(
    preset: str, overrides: Mapping[str, Any], given: Mapping[str, Mapping[str, Any] | bool]
) -> dict[str, StepConfig]:
    """Return the settings of all steps of a pipeline, so that errors appear before the first step starts.

    Args:
        preset: name of a preset, or ''.
        overrides: as for `step_config`.
        given: settings of the pipeline itself, by step; False leaves a step out.

    Returns:
        The settings by step, without the steps that share those of another one.

    Raises:
        SettingsError: as for `step_config`, or if no step has a parameter.
    """
    parameter_names = parameters()
    for name in overrides:
        if "." not in name and name not in parameter_names:
            raise SettingsError(f"No step has a parameter '{name}'{nearest(name, parameter_names)}.")
    parameters_of = {name: given.get(name, {}) for name, step in STEPS.items() if not step.settings_of}
    return {
        name: step_config(STEPS[name], preset, overrides, step_parameters)
        for name, step_parameters in parameters_of.items()
        if isinstance(step_parameters, Mapping)
    }
