"""Differences between two nested values, each as a short text that shows what changed."""

from collections.abc import Iterator
from typing import Any

LONGEST = 60
"""Longest text, in characters, that is shown in full; longer ones are shown without what both sides have in common."""
_KEPT = 8
_UNSET = "(unset)"


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """List what differs between two JSON values as 'name: old → new', with dots between the names of nested values.

    Numbers are compared by value: Kubeflow hands 3 back as 3.0.
    """
    return [f"{path}: {before} → {after}" for path, before, after in _changed(old, new, name)]


def _changed(old: Any, new: Any, path: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f"{path}.{key}" if path else str(key)
            if key in old and key in new:
                yield from _changed(old[key], new[key], inner)
            else:
                yield inner, *((_text(old[key]), _UNSET) if key in old else (_UNSET, _text(new[key])))
    elif _text(old) != _text(new):
        yield path, *_shortened(_text(old), _text(new))


def _text(value: Any) -> str:
    return repr(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shortened(old: str, new: str) -> tuple[str, str]:
    """Cut what two texts have in common from both ends, except for a few characters, if one of them is long."""
    if max(len(old), len(new)) <= LONGEST:
        return old, new
    shorter = min(len(old), len(new))
    start = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    end = next((at for at in range(shorter - start) if old[-1 - at] != new[-1 - at]), shorter - start)
    start, end = max(0, start - _KEPT), max(0, end - _KEPT)
    before, after = ("…" if start else ""), ("…" if end else "")
    return f"{before}{old[start : len(old) - end]}{after}", f"{before}{new[start : len(new) - end]}{after}"
