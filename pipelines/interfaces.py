"""A record of the inputs and outputs of components and pipelines, which protects other pipelines from breaking changes.

`make compile` adds new entries to the file. Existing entries change only with a new major version (for versions 0.x, a
new x). Pipelines that load a component by the address of a newer version would break if an input was renamed, removed,
of another type or no longer optional, or if an output was renamed, removed or of another type.
"""

from collections.abc import Mapping
from typing import Any

from kfp.dsl.base_component import BaseComponent

Interfaces = dict[str, dict[str, dict[str, str]]]


def interface(component: BaseComponent) -> dict[str, dict[str, str]]:
    """Return inputs and outputs of a component or pipeline by name: the type, with '?' for an optional input."""
    spec = component.component_spec
    return {
        "inputs": {
            name: _kind(described) + "?" * described.optional for name, described in (spec.inputs or {}).items()
        },
        "outputs": {name: _kind(described) for name, described in (spec.outputs or {}).items()},
    }


def breaks(old: Interfaces, new: Interfaces) -> list[str]:
    """Return the changes that would break other pipelines, one line each."""
    changes = [f"{name} is gone" for name in old if name not in new]
    for name in sorted(set(old) & set(new)):
        for side in ("inputs", "outputs"):
            was, now = old[name][side], new[name][side]
            changes += [f"{name}: the {side[:-1]} '{key}' is gone" for key in was if key not in now]
            changes += [
                f"{name}: the {side[:-1]} '{key}' was {kind} and is {now[key]}"
                for key, kind in was.items()
                if key in now and now[key] not in (kind, f"{kind}?")
            ]
        fresh = set(new[name]["inputs"]) - set(old[name]["inputs"])
        changes += [
            f"{name}: the new input '{key}' must be given"
            for key in sorted(fresh)
            if not new[name]["inputs"][key].endswith("?")
        ]
    return changes


def major(version: str) -> str:
    """Return the part of a version whose change permits breaking changes: '2' of '2.3.1', '0.3' of '0.3.1'."""
    first, second, *_ = version.split(".")
    return first if first != "0" else f"0.{second}"


def recorded(former: Mapping[str, Any] | None, new: Interfaces, version: str) -> dict[str, Any]:
    """Return the new contents of the file.

    Args:
        former: its present contents; None if it does not exist.
        new: the current interfaces.
        version: version of the program.

    Raises:
        ValueError: if an interface breaks, and the major part of the version is the same; the message names each break.
    """
    if former is not None and major(former["version"]) == major(version):
        broken = breaks(former["interfaces"], new)
        if broken:
            raise ValueError(f"This needs a new major version ({version} is none): {'; '.join(broken)}.")
        version = str(former["version"])
    return {"version": version, "interfaces": new}


def _kind(spec: Any) -> str:
    kind = str(spec.type).removeprefix("system.").partition("@")[0]
    return f"list of {kind}" if spec.is_artifact_list else kind
