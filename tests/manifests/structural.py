"""Holds Kubernetes objects against the schemas beside this file, strictly: a field that a schema lacks is an error.

Written here because Kubernetes itself drops such fields or refuses them, which JSON Schema's own validators do not. A
keyword that is not known is an error too, so that nothing of a schema is passed over.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).with_name("schemas")
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}
KNOWN = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "enum",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-strict",
}


def load() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas by 'apiVersion/Kind', and the definitions that they refer to."""
    kinds: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for path in sorted(SCHEMAS.glob("*.json")):
        said = json.loads(path.read_text(encoding="utf-8"))
        kinds.update(said["kinds"])
        definitions.update(said.get("definitions", {}))
    return kinds, definitions


KINDS, DEFINITIONS = load()


def faults(thing: Any) -> list[str]:
    """What is wrong with an object, a line each; a kind without a schema is wrong."""
    name = f"{thing.get('apiVersion')}/{thing.get('kind')}"
    if name not in KINDS:
        return [f"no schema for {name}"]
    named = [] if thing.get("metadata", {}).get("name") else [f"{thing['kind']}: lacks metadata.name"]
    return [*named, *_check(thing, KINDS[name], thing["kind"])]


def _check(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        yield from _check(value, DEFINITIONS[schema["$ref"].rpartition("/")[2]], where)
        return
    yield from _check_value(value, schema, where)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            fitting = sum(not list(_check(value, one, where)) for one in schema[word])
            if not fitting or (word == "oneOf" and fitting > 1):
                yield f"{where}: {value!r} fits {fitting} of {word}"
    if isinstance(value, dict):
        yield from _check_object(value, schema, where)
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from _check(item, schema["items"], f"{where}[{number}]")


def _check_value(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    fits = any(isinstance(value, TYPES[kind]) and (kind == "boolean") == isinstance(value, bool) for kind in kinds)
    if kinds and not fits:
        yield f"{where}: {value!r} is no {' or '.join(kinds)}"
    if schema.get("x-kubernetes-int-or-string") and not isinstance(value, int | str):
        yield f"{where}: {value!r} is neither a number nor text"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        yield f"{where}: {value!r} does not match {schema['pattern']}"
    if "minimum" in schema and isinstance(value, int) and value < schema["minimum"]:
        yield f"{where}: {value} is below {schema['minimum']}"
    sizes = {"Length": str, "Items": list, "Properties": dict}
    for word, kind in sizes.items():
        if isinstance(value, kind):
            size = len(value)
            if not schema.get(f"min{word}", 0) <= size <= schema.get(f"max{word}", size):
                yield f"{where}: has {size} {word.lower()}"


def _check_object(value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
    fields = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            yield f"{where}: lacks {name}"
    more = schema.get("additionalProperties")
    for name, item in value.items():
        if name in fields:
            yield from _check(item, fields[name], f"{where}.{name}")
        elif isinstance(more, dict):
            yield from _check(item, more, f"{where}.{name}")
        elif fields and not more and not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{where}: has no field {name}"
