"""Checks of requests against the published models of kfp-server-api."""

import inspect
import json
import re
from datetime import datetime
from typing import Any

import kfp_server_api

PRIMITIVES: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float), "bool": bool}


class BadRequest(Exception):
    """A request that the real server would reject, with its status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check(value: Any, kind: str, where: str = "body") -> None:
    """Hold a JSON value against a model of kfp-server-api, all through.

    Raises:
        BadRequest: a name that the model does not have, or a value of another type.
    """
    if kind == "object":
        return
    if match := re.fullmatch(r"(list\[|dict\(str, )(.+)[\])]", kind):
        inner = match[2]
        if not isinstance(value, list if match[1] == "list[" else dict):
            raise BadRequest(400, f"{where} is no {kind}")
        for key, item in enumerate(value) if isinstance(value, list) else value.items():
            check(item, inner, f"{where}.{key}")
    elif kind == "datetime":
        datetime.fromisoformat(value)
    elif kind in PRIMITIVES:
        if not isinstance(value, PRIMITIVES[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise BadRequest(400, f"{where} is {value!r} and no {kind}")
    else:
        _check_model(value, getattr(kfp_server_api.models, kind), where)


def _check_model(value: Any, model: Any, where: str) -> None:
    if hasattr(model, "allowable_values"):
        if value not in model.allowable_values:
            raise BadRequest(400, f"{where} is {value!r} and none of {model.allowable_values}")
        return
    if not isinstance(value, dict):
        raise BadRequest(400, f"{where} is no {model.__name__}")
    kinds = {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
    for name, item in value.items():
        if name not in kinds:
            raise BadRequest(400, f"{where}.{name} is not in {model.__name__}")
        check(item, kinds[name], f"{where}.{name}")


def parameters_of(service: Any, name: str) -> set[str]:
    """Return the parameters that the published interface defines for a request."""
    source = inspect.getsource(getattr(service, f"{name}_with_http_info"))
    listed = re.search(r"all_params = \[(.*?)\]", source, re.DOTALL)
    assert listed
    return set(re.findall(r"'(\w+)'", listed[1]))


def there(items: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """Return an item.

    Raises:
        BadRequest: there is none of that name.
    """
    if name not in items:
        raise BadRequest(404, f"{name} not found")
    return items[name]


def parsed(body: bytes, kind: str) -> dict[str, Any]:
    """Return the JSON of a request, held against a model.

    Raises:
        BadRequest: it does not fit.
    """
    content: dict[str, Any] = json.loads(body)
    check(content, kind)
    return content
