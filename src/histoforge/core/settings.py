"""Typed settings: one frozen pydantic class per step, filled from a preset and individual overrides.

This module avoids heavy imports, because `histoforge STEP --help` is built from these classes alone.
"""

import difflib
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from histoforge.core.documents import DocumentError, parse_yaml
from histoforge.core.errors import SettingsError, UnknownParameterError
from histoforge.core.validation import sentence_of

DEFAULT_PRESET = "quickstart"
"""The preset for a pipeline on one machine, and for a single step on a machine without a GPU."""


class Settings(BaseModel):
    """Base class of immutable settings that reject unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    variant_by: ClassVar[str] = ""
    """The parameter whose value selects a separate section, such as `train_generator.dcgan`; '' for none."""

    @classmethod
    def make(cls, values: Mapping[str, Any]) -> Self:
        """Validate `values`.

        Raises:
            UnknownParameterError: a name is unknown; the message suggests the nearest known one.
            SettingsError: a value is missing or cannot be used.
        """
        unknown = [name for name in values if name not in cls.model_fields]
        if unknown:
            raise UnknownParameterError(
                f"{cls._step_name()} has no parameter '{unknown[0]}'{nearest(unknown[0], cls.model_fields)}."
            )
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsError(f"{cls._step_name()}: {sentence_of(error, cls).rstrip('.')}.") from None

    @classmethod
    def _step_name(cls) -> str:
        """Return the step's public name: `TrainGeneratorConfig` becomes `train_generator`."""
        name = cls.__name__.removesuffix("Config")
        return "".join(
            f"_{c.lower()}" if c.isupper() and i and not name[i - 1].isupper() else c.lower()
            for i, c in enumerate(name)
        )

    @field_validator("*", mode="before")
    @classmethod
    def _whole_floats_are_integers(cls, value: Any, info: Any) -> Any:
        """Convert whole floats to integers, because Kubeflow passes an integer in a dict parameter as a float."""
        if isinstance(value, float) and value.is_integer() and info.field_name in cls.model_fields:
            annotation = cls.model_fields[info.field_name].annotation
            if int in (annotation, *get_args(annotation)):
                return int(value)
        return value


class StepConfig(Settings):
    """Settings that every step has."""

    seed: int = Field(0, ge=0, description="seed of all random choices")


class DeviceConfig(StepConfig):
    """Settings of every step that computes on a device."""

    device: str = Field("auto", description="'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'")
    precision: str = Field(
        "auto",
        pattern="^(auto|float32|bfloat16)$",
        description="'auto' (bfloat16 wherever the processor has it), 'float32' or 'bfloat16'",
    )


class TrainingConfig(DeviceConfig):
    """Settings of every step that trains a network."""

    checkpoint_every: int = Field(
        200,
        ge=0,
        description="steps between checkpoints; 0 to write one only at the end and when stopped",
        json_schema_extra={"unit": "steps"},
    )
    checkpoints: str = Field(
        "", description="location to copy checkpoints to, so that a retry on another machine can resume; '' for none"
    )


class FoldConfig(DeviceConfig):
    """Settings of every step that trains on one fold of a patch set, or draws patches for it."""

    fold: int = Field(
        -1,
        ge=-1,
        le=49,
        description="fold of a patch set that was cut with folds, counted from 0: its test patients are not seen; -1 "
        "for a patch set with a single split",
    )


class NodesConfig(TrainingConfig, FoldConfig):
    """Settings of every step that trains with all GPUs of its task, or of several nodes."""

    nodes: int = Field(
        1,
        ge=1,
        le=64,
        description="nodes that train together, each with the GPUs of the task; more than one needs Kubeflow Trainer, "
        "and 'checkpoints' in a store that all of them reach",
    )


def preset_names() -> list[str]:
    """Return the names of the presets that come with the package."""
    return sorted(file.name.removesuffix(".yaml") for file in _presets().iterdir() if file.name.endswith(".yaml"))


def load_preset(name: str) -> dict[str, dict[str, Any]]:
    """Return the settings of a preset, one section per step; the empty name is the preset without settings.

    Raises:
        SettingsError: there is no preset of that name; the message suggests the nearest one.
    """
    if not name:
        return {}
    if name not in preset_names():
        raise SettingsError(
            f"There is no preset '{name}'{nearest(name, preset_names())}: choose one of {', '.join(preset_names())}."
        )
    sections = parse_yaml((_presets() / f"{name}.yaml").read_text(encoding="utf-8"))
    return {step: dict(values) for step, values in sections.items() if isinstance(values, dict)}


def parse_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse `["a.b=3", "c=x"]` to `{"a.b": 3, "c": "x"}`; values are YAML, but 7:1:2 and dates are text.

    Raises:
        SettingsError: an assignment has no `=`.
    """
    overrides = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise SettingsError(
                f"'--set {assignment}' is not NAME=VALUE: write for example '--set train_generator.epochs=3'."
            )
        try:
            overrides[name.strip()] = parse_yaml(value)
        except DocumentError:
            overrides[name.strip()] = value
    return overrides


def step_values(
    step: str, preset: str, overrides: Mapping[str, Any], steps: Iterable[str], variant: str = ""
) -> dict[str, Any]:
    """Return a step's values from the preset's sections for the step and its variant, then from the overrides.

    Args:
        step: name of the step. Its values come from the preset's section of that name and from the overrides
            `step.name` and, without a step, `name`.
        preset: name of a preset, or ''.
        overrides: values by name.
        steps: the names of all steps; overrides for other steps are ignored.
        variant: one of several forms of the step, such as a method. The preset's section `step.variant` and the
            overrides `step.variant.name` apply to it alone.

    Raises:
        SettingsError: an override addresses a step that does not exist.
    """
    step_names, sections = list(steps), load_preset(preset)
    values, special = dict(sections.get(step, {})), {}
    if variant:
        values.update(sections.get(f"{step}.{variant}", {}))
    for name, value in overrides.items():
        target, dot, parameter = name.partition(".")
        if not dot:
            values[name] = value
        elif target == step:
            form, inner, name_in_form = parameter.partition(".")
            if not inner:
                values[parameter] = value
            elif form == variant:
                special[name_in_form] = value
        elif target not in step_names:
            raise SettingsError(f"There is no step '{target}'{nearest(target, step_names)} (in '{name}').")
    return {**values, **special}


def nearest(name: str, names: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` without its end, for an error message, or '' if no name is similar."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _presets() -> Any:
    return resources.files("histoforge") / "presets"
