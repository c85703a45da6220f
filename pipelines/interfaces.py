"""What components and pipelines take and give, as foreign pipelines rely on it: kept in a file, broken by no accident.

`make compile` adds to the file what is new. What is there is only changed with a new major version (of a version 0.x,
with a new x): an input that is renamed, removed, of another type or no longer optional, and an output that is renamed,
removed or of another type, would break pipelines that load a component by the address of a newer version.
"""

from collections.abc import Mapping
from typing import Any

from kfp.dsl.base_component import BaseComponent

Interfaces = dict[str, dict[str, dict[str, str]]]


def interface(component: BaseComponent) -> dict[str, dict[str, str]]:
    """Inputs and outputs of a component or pipeline by name: the type, with '?' where an input may be left out."""
    spec = component.component_spec
    return {
        "inputs": {name: _kind(one) + ("?" if one.optional else "") for name, one in (spec.inputs or {}).items()},
        "outputs": {name: _kind(one) for name, one in (spec.outputs or {}).items()},
    }


def breaks(old: Interfaces, new: Interfaces) -> list[str]:
    """What a foreign pipeline would trip over, a line each."""
    found = [f"{name} is gone" for name in old if name not in new]
    for name in sorted(set(old) & set(new)):
        for side in ("inputs", "outputs"):
            was, now = old[name][side], new[name][side]
            found += [f"{name}: the {side[:-1]} '{key}' is gone" for key in was if key not in now]
            found += [
                f"{name}: the {side[:-1]} '{key}' was {kind} and is {now[key]}"
                for key, kind in was.items()
                if key in now and now[key] not in (kind, f"{kind}?")
            ]
        fresh = set(new[name]["inputs"]) - set(old[name]["inputs"])
        found += [
            f"{name}: the new input '{key}' must be given"
            for key in sorted(fresh)
            if not new[name]["inputs"][key].endswith("?")
        ]
    return found


def major(version: str) -> str:
    """The part of a version whose change lets interfaces break: '2' of '2.3.1', '0.3' of '0.3.1'."""
    first, second, *_ = version.split(".")
    return first if first != "0" else f"0.{second}"


def recorded(kept: Mapping[str, Any] | None, new: Interfaces, version: str) -> dict[str, Any]:
    """What the file is to hold.

    Args:
        kept: what it holds; None where there is none.
        new: the interfaces as they are.
        version: of the program.

    Raises:
        ValueError: an interface breaks, and the version has the same major part; each break is named.
    """
    if kept is not None and major(kept["version"]) == major(version):
        broken = breaks(kept["interfaces"], new)
        if broken:
            raise ValueError(f"This needs a new major version ({version} is none): {'; '.join(broken)}.")
        version = str(kept["version"])
    return {"version": version, "interfaces": new}


def _kind(spec: Any) -> str:
    kind = str(spec.type).removeprefix("system.").partition("@")[0]
    return f"list of {kind}" if spec.is_artifact_list else kind
