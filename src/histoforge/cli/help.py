"""Help in sections, limited to one generator method if the command line names it."""

from collections.abc import Sequence
from typing import Any

from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from histoforge.core.settings import DeviceConfig, load_preset, preset_names
from histoforge.generators.methods import METHODS
from histoforge.steps.table import Step

COMMON = "Options"
ALL_METHODS = "Settings of every method"
SETTINGS = "Settings"


class SectionedCommand(TyperCommand):
    """A command whose help has one section per help panel of its options, in their order."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {COMMON: []}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(option, "rich_help_panel", None) or COMMON, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def shown_method(arguments: Sequence[str]) -> str:
    """Return the generator method whose help a command line requests, or '' for all methods.

    This is the method of `--method`, or else the one that the preset names.
    """
    if not {"--help", "-h"} & set(arguments):
        return ""
    method = _value(arguments, "--method")
    preset = _value(arguments, "--preset")
    if not method and preset in preset_names():
        method = str(load_preset(preset).get("train_generator", {}).get("method", ""))
    return method if method in METHODS else ""


def settings_by_section(step: Step, method: str) -> dict[str, tuple[str, FieldInfo]]:
    """Return the section and description of each setting of a step by name, in the order of the help.

    Args:
        step: the step.
        method: a generator method, to show only its settings with its defaults; '' for all.
    """
    fields = step.config_class.model_fields
    if step.name != "train_generator":
        return {name: (SETTINGS, field) for name, field in fields.items()}
    shown = {"method": (COMMON, fields["method"])}
    if method:
        method_fields = METHODS[method].config_class.model_fields
        return shown | {
            name: (f"Settings of {method}", method_fields[name]) for name in fields if name in method_fields
        }
    sections = {name: _section(name) for name in fields if name != "method"}
    in_order = sorted(
        sections,
        key=lambda name: (
            sections[name] != ALL_METHODS,
            -sections[name].count(","),
            name in DeviceConfig.model_fields,
        ),
    )
    return shown | {name: (sections[name], fields[name]) for name in in_order}


def _section(setting: str) -> str:
    methods = [name for name, method in METHODS.items() if setting in method.config_class.model_fields]
    return ALL_METHODS if len(methods) == len(METHODS) else f"Settings of {', '.join(methods)}"


def _value(arguments: Sequence[str], option: str) -> str:
    """Return the last value that the command line gives an option, or ''."""
    value = ""
    for index, argument in enumerate(arguments):
        if argument == option and index + 1 < len(arguments):
            value = arguments[index + 1]
        elif argument.startswith(f"{option}="):
            value = argument.partition("=")[2]
    return value
