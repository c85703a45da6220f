"""Registries: the one place where a method, selection rule, metric, backbone, step or pipeline is listed by name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from histoforge.core.errors import SettingsError
from histoforge.core.settings import nearest


class Named(Protocol):
    """An entry of a registry."""

    @property
    def name(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)


class Registry(Mapping[str, Entry]):
    """Entries of one kind by name, in the order of their registration.

    Entries describe and import nothing heavy: `--help` is built from them. The module that does the work is imported
    when it is used.
    """

    def __init__(self, kind: str, entries: Iterable[Entry] = ()) -> None:
        """Register `entries`.

        Args:
            kind: the word for an entry in messages, such as 'method'.
            entries: the first entries.
        """
        self.kind = kind
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            self.register(entry)

    def register(self, entry: Entry) -> Entry:
        """Add an entry, and return it.

        Raises:
            ValueError: its name is taken.
        """
        if entry.name in self._entries:
            raise ValueError(f"there is already a {self.kind} '{entry.name}'")
        self._entries[entry.name] = entry
        return entry

    def named(self, name: str) -> Entry:
        """Return the entry of that name.

        Raises:
            SettingsError: there is none; the message suggests the nearest name.
        """
        if name not in self._entries:
            raise SettingsError(
                f"There is no {self.kind} '{name}'{nearest(name, self)}: choose one of {', '.join(self)}."
            )
        return self._entries[name]

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
