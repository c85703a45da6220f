"""Pydantic's validation errors, reworded for the person who gave the value."""

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "none": "nothing",
}
_BOUNDS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "literal_error": "{expected}",
    "enum": "{expected}",
}
MAX_LENGTH = 60


def reason_of(error: ValidationError) -> str:
    """Return a document's first error as `where: requirement`."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(key) for key in first["loc"])
    if first["type"] == "missing":
        return f"'{where}' is missing"
    if first["type"] == "extra_forbidden":
        return f"'{where}' is not a known field"
    requirement = expected(first)
    return f"{where}: {requirement}" if where else requirement


def sentence_of(error: ValidationError, settings: type[BaseModel]) -> str:
    """Return the first error in a person's settings as a sentence without its end.

    Args:
        error: pydantic's error.
        settings: the class of the settings; messages show a field's description instead of its pattern.
    """
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    field = settings.model_fields.get(name)
    about = str(field.description or "") if field else ""
    if first["type"] == "missing":
        return f"give '{name}'{f' ({about})' if about else ''}"
    if first["type"] in ("value_error", "assertion_error"):
        reason = first["msg"].partition(", ")[2]
        return f"'{name}' is wrong: {reason}{_given(first)}" if name else reason
    if first["type"] == "string_pattern_mismatch" and about:
        return f"'{name}' takes {about}{_given(first)}"
    choices = _choices(field.annotation) if field else ""
    requirement = choices if choices and len(first["loc"]) > 1 else expected(first)
    index = first["loc"][1] if len(first["loc"]) > 1 else None
    which = f"entry {index + 1} of '{name}'" if isinstance(index, int) else f"'{name}'"
    return f"{which} must be {requirement}{_given(first)}" if name else requirement


def expected(first: ErrorDetails) -> str:
    """Describe the value that was expected, for one of pydantic's errors."""
    kind, context = first["type"], first.get("ctx") or {}
    if kind in ("string_too_short", "too_short") and context.get("min_length") == 1:
        return "non-empty"
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**{name: _plain(value) for name, value in context.items()})
    if kind == "string_pattern_mismatch":
        return "in another format"
    if kind == "int_from_float":
        return "a whole number"
    if kind.endswith("_size"):
        return "a smaller number"
    return _EXPECTED.get(kind.partition("_")[0], first["msg"][:1].lower() + first["msg"][1:])


def shortened(value: Any) -> str:
    """Return a value in a form short enough to read in a sentence."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or a structure that contains itself
        return "the given value"
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def _given(first: ErrorDetails) -> str:
    return f", not {shortened(first['input'])}"


def _choices(annotation: Any) -> str:
    """Return the choices of a setting that takes names or something else, or '' if it takes no names."""
    kinds = get_args(annotation)
    names = [f"'{choice}'" for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    scalars = [
        _EXPECTED["string" if kind is str else kind.__name__] for kind in kinds if kind in (int, float, str, bool)
    ]
    return " or ".join([*names, *scalars]) if names else ""


def _plain(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value
