"""Command line options generated from a step's settings, and errors that name parameters as options."""

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from histoforge.core.errors import HistoforgeError, UnknownParameterError
from histoforge.core.settings import Settings
from histoforge.steps.field_help import field_help, is_list, kind_of

_KINDS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}


def parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """Return a keyword parameter of a command."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def setting_parameters(config: type[Settings]) -> list[inspect.Parameter]:
    """Return one command parameter per setting; None means not given, and the settings class checks bounds."""
    return [setting_parameter(name, field) for name, field in config.model_fields.items()]


def command(
    body: Callable[[dict[str, Any]], None], name: str, about: str, parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    """Return a function that typer accepts as a command with these parameters; it calls `body` with their values."""

    def run(**values: Any) -> None:
        body(values)

    run.__name__ = name
    run.__doc__ = about
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    return run


def given_settings(config: type[Settings], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were given on the command line; lists are separated by commas.

    An option that was not given is None, so that 0 and '' override a preset like any other value.
    """
    given = {name: values[name] for name in config.model_fields if values.get(name) is not None}
    for name, value in given.items():
        if isinstance(value, str) and is_list(config.model_fields[name]):
            given[name] = [item.strip() for item in value.split(",")]
    return given


def setting_parameter(name: str, field: FieldInfo, section: str | None = None) -> inspect.Parameter:
    """Return a parameter for one setting.

    Args:
        name: name of the setting.
        field: its type, default, bounds and description.
        section: title of its section in the help.
    """
    flag = f"--{name.replace('_', '-')}"
    if kind_of(field) is bool:
        option = typer.Option(f"{flag}/--no-{flag[2:]}", help=_help(field), show_default=False, rich_help_panel=section)
        return parameter(name, Annotated[bool | None, option], None)
    option = typer.Option(
        flag,
        help=_help(field),
        metavar=_kind(field),
        show_default=False,
        rich_help_panel=section,
        autocompletion=completion(_choices(field)),
    )
    return parameter(name, Annotated[str | None, option], None)


def completion(choices: Iterable[str]) -> Callable[[str], list[str]] | None:
    """Return the completion of an option that takes one of `choices`; None, for the shell's own, if there are none."""
    names = list(choices)
    return (lambda incomplete: [name for name in names if name.startswith(incomplete)]) if names else None


def _choices(field: FieldInfo) -> list[str]:
    kind = kind_of(field)
    return [str(choice) for choice in get_args(kind)] if get_origin(kind) is Literal else []


def _kind(field: FieldInfo) -> str:
    if get_origin(kind_of(field)) is Literal:
        return "NAME"
    return f"{_KINDS[str]},…" if is_list(field) else _KINDS.get(kind_of(field), _KINDS[str])


def _help(field: FieldInfo) -> str:
    return f"{field.description} [{field_help(field)}]" if field_help(field) else str(field.description)


@contextmanager
def errors_name_options(
    command: str, parameters: Collection[str], flags: Collection[str], assignments: str
) -> Iterator[None]:
    """Raise errors of the block again, with parameters named as options: `--split-ratios`, not `split_ratios`.

    Args:
        command: the step's name.
        parameters: the names of its parameters.
        flags: parameters that were given as options.
        assignments: values of `--set`, whose names stay as they are.
    """
    try:
        yield
    except UnknownParameterError:
        raise
    except HistoforgeError as error:
        unassigned = [name for name in parameters if not re.search(rf"\b{name}=", assignments)]
        raise type(error)(_with_option_names(str(error), command, unassigned, flags)) from error


def _with_option_names(sentence: str, command: str, parameters: Collection[str], flags: Collection[str]) -> str:
    """Return a sentence with parameters named as options; see `errors_name_options`."""
    for name in sorted(parameters, key=len, reverse=True):
        flag = f"--{name.replace('_', '-')}"
        before = "" if name in flags else "(?<=give )"
        sentence = re.sub(rf"{before}'{name}'", flag, sentence)
        sentence = re.sub(rf"(?<![\w.'/-]){name}=(?=\S)", f"{flag} ", sentence)
        if "_" in name:
            sentence = re.sub(rf"(?<![\w.'/-]){name}(?![\w.'/=-])", flag, sentence)
    return re.sub(rf"^{command}: ", f"{command.replace('_', '-')}: ", sentence)
