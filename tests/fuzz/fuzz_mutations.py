"""Mutations of files: one table for each kind of content, drawn by hypothesis."""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

VALUES: list[Any] = [
    None, True, False, 0, -1, 3, 1.5, 10**30, -1e300, "", "x", "../../x", "/", "nul\0", "\ud800", "é\u2028", "NaN",
    "9" * 400, [], {}, [[]], [None], [0, 0], {"a": None}, {"": []}, ["x"] * 300, {"a": {"b": {"c": [1]}}},
]  # fmt: skip
NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "1e300",
    "-0.0",
    "9" * 400,
    "9" * 5000,
    "0x10",
    '"3"',
    "true",
    "null",
]
RAW: dict[str, bytes] = {
    "empty": b"", "a line end": b"\n", "null": b"null", "a list": b"[]", "a text": b'"x"', "a number": b"3",
    "an object": b"{}", "half": b'{"a":', "UTF-16": "{}".encode("utf-16"), "not UTF-8": b'{"a": "\xff"}',
    "a BOM": b"\xef\xbb\xbf{}", "deep lists": b"[" * 50_000, "deep and whole": b"[" * 9000 + b"]" * 9000,
    "deep objects": b'{"a":' * 20_000, "NaN": b'{"a": NaN}', "a huge number": b"9" * 5000, "zeros": bytes(4096),
    "markup": b"<html><body>Log in</body></html>", "aliases": b"a: &a [1]\nb: *a\n", "a pickle": b"\x80\x04N.",
}  # fmt: skip


@dataclass(frozen=True)
class Mutation:
    """One change; `repr` shows how to repeat it.

    Attributes:
        name: name of the kind of change.
        position: position, as a fraction of the file or of its values, in [0, 1).
        value: the new value.
    """

    name: str
    position: float = 0.0
    value: Any = None

    def __repr__(self) -> str:
        value = repr(self.value)
        return f"{self.name} at {self.position:.4f}: {value if len(value) < 60 else value[:60] + '…'}"

    def apply(self, path: Path) -> None:
        """Change a file."""
        KINDS[self.name](path, self)


def documents() -> st.SearchStrategy[Mutation]:
    """Changes of a JSON file: its values and keys, its bytes, and something else in its position."""
    return st.one_of(
        st.builds(Mutation, st.just("a value"), _positions(), st.sampled_from(VALUES)),
        st.builds(Mutation, st.just("a value"), _positions(), st.sampled_from(VALUES)),
        st.builds(Mutation, st.just("a number"), _positions(), st.sampled_from(NUMBERS)),
        st.builds(Mutation, st.sampled_from(["without a value", "a key more", "twice"]), _positions()),
        texts(),
    )


def texts() -> st.SearchStrategy[Mutation]:
    """Changes of any text file."""
    return st.one_of(binaries(), st.builds(Mutation, st.just("instead"), st.just(0.0), st.sampled_from(list(RAW))))


def binaries() -> st.SearchStrategy[Mutation]:
    """Changes of any file's bytes."""
    return st.one_of(
        st.builds(Mutation, st.just("a bit"), _positions(), st.integers(0, 7)),
        st.builds(Mutation, st.just("bytes"), _positions(), st.binary(min_size=1, max_size=12)),
        st.builds(
            Mutation, st.sampled_from(["cut", "zeroed", "repeated", "missing", "a folder", "a dead link"]), _positions()
        ),
    )


def headers(most: float = 0.02) -> st.SearchStrategy[Mutation]:
    """Changes of the first bytes, in which formats describe their content."""
    positions = st.floats(0, most, exclude_max=True)
    return st.one_of(
        st.builds(Mutation, st.just("a bit"), positions, st.integers(0, 7)),
        st.builds(Mutation, st.just("bytes"), positions, st.binary(min_size=1, max_size=8)),
    )


def _positions() -> st.SearchStrategy[float]:
    return st.floats(0, 1, exclude_max=True)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner_path for key, item in inner for inner_path in _paths(item, (*path, key)))]


def _edit(path: Path, position: float, change: Callable[[Any, Any], None]) -> None:
    value = json.loads(path.read_bytes())
    paths = _paths(value)[1:]
    if not paths:
        return
    *keys, last = paths[int(position * len(paths))]
    parent = value
    for key in keys:
        parent = parent[key]
    change(parent, last)
    path.write_text(json.dumps(value))


def _set(path: Path, mutation: Mutation) -> None:
    _edit(path, mutation.position, lambda parent, key: parent.__setitem__(key, copy.deepcopy(mutation.value)))


def _number(path: Path, mutation: Mutation) -> None:
    _edit(path, mutation.position, lambda parent, key: parent.__setitem__(key, "PUT THE NUMBER HERE"))
    path.write_text(path.read_text().replace('"PUT THE NUMBER HERE"', mutation.value))


def _delete(path: Path, mutation: Mutation) -> None:
    _edit(path, mutation.position, lambda parent, key: parent.__delitem__(key))


def _add(path: Path, mutation: Mutation) -> None:
    def add(parent: Any, key: Any) -> None:
        parent["an unknown key"] = 1 if isinstance(parent, dict) else parent.append(1)

    _edit(
        path, mutation.position, lambda parent, key: add(parent, key) if isinstance(parent, dict) else parent.append(1)
    )


def _double(path: Path, mutation: Mutation) -> None:
    path.write_bytes(path.read_bytes() * 2)


def _bit(path: Path, mutation: Mutation) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[math.floor(mutation.position * len(content))] ^= 1 << mutation.value
    path.write_bytes(bytes(content))


def _bytes(path: Path, mutation: Mutation) -> None:
    content = path.read_bytes()
    start = math.floor(mutation.position * len(content))
    path.write_bytes(content[:start] + mutation.value + content[start + len(mutation.value) :])


def _cut(path: Path, mutation: Mutation) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: math.floor(mutation.position * len(content))])


def _zeroed(path: Path, mutation: Mutation) -> None:
    content = path.read_bytes()
    start = math.floor(mutation.position * len(content))
    path.write_bytes(content[:start] + bytes(len(content) - start))


def _missing(path: Path, mutation: Mutation) -> None:
    path.unlink()


def _folder(path: Path, mutation: Mutation) -> None:
    path.unlink()
    path.mkdir()


def _dead_link(path: Path, mutation: Mutation) -> None:
    path.unlink()
    path.symlink_to(path.name if mutation.position < 0.5 else "nowhere")


KINDS: dict[str, Callable[[Path, Mutation], None]] = {
    "a value": _set,
    "a number": _number,
    "without a value": _delete,
    "a key more": _add,
    "twice": _double,
    "repeated": _double,
    "a bit": _bit,
    "bytes": _bytes,
    "cut": _cut,
    "zeroed": _zeroed,
    "missing": _missing,
    "a folder": _folder,
    "a dead link": _dead_link,
    "instead": lambda path, mutation: path.write_bytes(RAW[mutation.value]) and None,
}
