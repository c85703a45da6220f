"""The only entry point for JSON and YAML: damaged or hostile documents produce a one-sentence error."""

import json
import math
import re
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from histoforge.core.errors import HistoforgeError
from histoforge.core.validation import reason_of

Model = TypeVar("Model", bound=BaseModel)

MAX_DEPTH = 64
"""Maximum nesting depth of a document. Documents of histoforge have fewer than ten levels."""


MAX_VALUES = 2_000_000
"""Maximum number of values on one level of a document. YAML aliases can turn a few lines into billions of values."""

MAX_DIGITS = 300
"""Maximum number of digits in a number. Integers much longer than this do not fit into float64."""


class DocumentError(ValueError):
    """Raised for text that is not valid JSON or YAML; the message is a short reason."""


def parse_json(content: bytes | str) -> Any:
    """Parse a UTF-8 text as JSON, rejecting NaN, infinity and numbers beyond float64.

    Raises:
        DocumentError: the text is not valid, or is nested too deeply.
    """
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        value = json.loads(text, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
        return _checked_depth(value)
    except UnicodeDecodeError:
        raise DocumentError("it is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise DocumentError(f"it is not JSON: {error}") from None
    except RecursionError:
        raise DocumentError("it is nested too deeply") from None


def read_json(path: Path, error_class: type[HistoforgeError] = HistoforgeError, advice: str = "make it again") -> Any:
    """Return the JSON value in a file that histoforge wrote.

    Args:
        path: the file.
        error_class: the class of the error to raise.
        advice: what the user can do, for the end of the message.

    Raises:
        HistoforgeError: the file is missing, cannot be read, or is not JSON; the class is `error_class`.
    """
    try:
        return parse_json(Path(path).read_bytes())
    except DocumentError as error:
        raise error_class(f"{path} is damaged ({error}): {advice}.") from None
    except OSError as error:
        raise error_class(f"{path} cannot be read ({error.strerror}): {advice}.") from None


def parse_model(
    cls: type[Model],
    content: bytes | str,
    name: object,
    error_class: type[HistoforgeError],
    advice: str = "make it again",
) -> Model:
    """Return a pydantic model from a JSON text, which messages call `name`.

    Raises:
        HistoforgeError: the text is not JSON, or does not have the fields of `cls`; the class is `error_class`.
    """
    try:
        return cls.model_validate(parse_json(content))
    except DocumentError as error:
        raise error_class(f"{name} is damaged ({error}): {advice}.") from None
    except ValidationError as error:
        raise error_class(f"{name} is damaged ({reason_of(error)}): {advice}.") from None


def read_model(
    cls: type[Model], path: Path, error_class: type[HistoforgeError], advice: str = "make it again"
) -> Model:
    """Return a pydantic model from a JSON file that histoforge wrote; see `parse_model` and `read_json`."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise error_class(f"{path} cannot be read ({error.strerror}): {advice}.") from None
    return parse_model(cls, content, path, error_class, advice)


@contextmanager
def known_shape(name: object, error_class: type[HistoforgeError], advice: str = "make it again") -> Iterator[None]:
    """Turn errors from a document's structure, such as a missing key or text instead of a number, into a sentence.

    Raises:
        HistoforgeError: the document does not have the expected structure; the class is `error_class`.
    """
    try:
        yield
    except KeyError as error:
        raise error_class(f"{name} is damaged ({error} is missing): {advice}.") from None
    except (AttributeError, IndexError, TypeError, ValueError, OverflowError, RecursionError, StopIteration):
        raise error_class(f"{name} is damaged (a value has the wrong type): {advice}.") from None


def parse_yaml(text: str) -> Any:
    """Parse a YAML text, accepting only the types that JSON has.

    Dates and times of day (`2024-01-31`, `7:1:2`) are read as text, and tags are rejected, so that every value can be
    written as JSON.

    Raises:
        DocumentError: the text is not valid, or is nested too deeply.
    """
    try:
        return _checked_depth(_PlainLoader(text).get_single_data())
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DocumentError(f"it is not YAML{line}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise DocumentError(f"it is not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise DocumentError("it is nested too deeply") from None


def read_yaml(path: Path, error_class: type[HistoforgeError], advice: str) -> Any:
    """Return the value in a YAML file that a person wrote; see `read_json`."""
    try:
        return parse_yaml(Path(path).read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise error_class(f"{path} cannot be read (it is not UTF-8 text): {advice}.") from None
    except DocumentError as error:
        raise error_class(f"{path} cannot be read ({error}): {advice}.") from None
    except OSError as error:
        raise error_class(f"{path} cannot be read ({error.strerror}): {advice}.") from None


def json_values(value: Any) -> Any:
    """Convert a value to JSON values: models and dataclasses to dicts, arrays to lists, non-finite numbers to None."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    elif is_dataclass(value):
        value = vars(value)
    elif hasattr(value, "tolist"):  # an array or a scalar of NumPy, which this module need not import
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise DocumentError(f"it contains the number {text[:12]}, which is not finite")
    return value


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise DocumentError(f"it contains a number of more than {MAX_DIGITS} digits")
    return int(text)


def _checked_depth(value: Any) -> Any:
    """Return `value` if it is no deeper than `MAX_DEPTH` and no wider than `MAX_VALUES`, counting aliases as copies."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [item for item in level if isinstance(item, list | dict)]
        if not inner:
            return value
        if sum(map(len, inner)) > MAX_VALUES:
            break
        level = [child for item in inner for child in (item.values() if isinstance(item, dict) else item)]
    raise DocumentError("it is nested too deeply, or is too large")


class _PlainLoader(yaml.SafeLoader):
    """A YAML loader without tags, dates and base-60 numbers."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep)
        return {key if isinstance(key, str) else str(key): value for key, value in mapping.items()}


def _number(loader: yaml.SafeLoader, node: Any) -> Any:
    """Return the value of a scalar that looks like a number, as text if JSON cannot represent the number."""
    if len(node.value) > MAX_DIGITS:
        return node.value
    try:
        construct = (
            yaml.SafeLoader.construct_yaml_int if node.tag.endswith("int") else yaml.SafeLoader.construct_yaml_float
        )
        value = construct(loader, node)
    except (ValueError, OverflowError):
        return node.value
    return value if isinstance(value, int) or math.isfinite(value) else node.value


_TAGS = ("null", "bool", "int", "float", "str", "seq", "map", "merge", "value")
_PlainLoader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in _TAGS
}
for _kind in ("int", "float"):
    _PlainLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _number)
_CLOCK = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-9_]+)+(?:\.[0-9_]*)?")
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith("timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _first in "-+0123456789":
    _PlainLoader.yaml_implicit_resolvers.setdefault(_first, []).insert(0, ("tag:yaml.org,2002:str", _CLOCK))
