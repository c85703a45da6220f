"""Describe unit, bounds and default of a setting, for `--help` and the components' READMEs."""

from types import NoneType
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo


def field_help(field: FieldInfo) -> str:
    """Return unit, bounds and default of a setting, joined by semicolons."""
    return "; ".join(filter(None, (_unit(field), _bounds(field), _default(field))))


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _bounds(field: FieldInfo) -> str:
    kind = kind_of(field)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    low = high = ""
    for rule in field.metadata:
        if isinstance(rule, annotated_types.Ge):
            low = f"{rule.ge} <= "
        elif isinstance(rule, annotated_types.Gt):
            low = f"{rule.gt} < "
        elif isinstance(rule, annotated_types.Le):
            high = f" <= {rule.le}"
        elif isinstance(rule, annotated_types.Lt):
            high = f" < {rule.lt}"
    return f"{low}x{high}" if (low or high) and not _is_text(field) else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return f"default: {value}" if value not in ("", None) else ""


def kind_of(field: FieldInfo) -> Any:
    """Return the type of a setting, ignoring None."""
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(field.annotation) else field.annotation


def is_list(field: FieldInfo) -> bool:
    """Return True if a setting takes several values."""
    return get_origin(kind_of(field)) in (list, tuple)


def _is_text(field: FieldInfo) -> bool:
    return kind_of(field) is str or is_list(field)
