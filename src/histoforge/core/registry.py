"""Registries: the one place where a method, selection rule, metric, backbone, step or pipeline is listed by name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from histoforge.core.errors import SettingsError
from histoforge.core.plugins import installed_entries, leave_out
from histoforge.core.settings import nearest


class Named(Protocol):
    """An entry of a registry."""

    @property
    def name(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)


class Registry(Mapping[str, Entry]):
    """Entries of one kind by name, in the order of their registration.

    Entries describe and import nothing heavy: `--help` is built from them. The module that does the work is imported
    when it is used. Entries of other packages, from the entry points of `group`, follow when the registry is first
    read: by then, a package that imports the registry is imported itself.
    """

    def __init__(self, kind: str, entries: Iterable[Entry] = (), group: str = "") -> None:
        """Register `entries`.

        Args:
            kind: the word for an entry in messages, such as 'method'.
            entries: the first entries.
            group: group of entry points of other packages, which name entries of the class of the first one; '' for
                none.
        """
        self.kind = kind
        self._group = group
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
        if name not in self:
            raise SettingsError(
                f"There is no {self.kind} '{name}'{nearest(name, self)}: choose one of {', '.join(self)}."
            )
        return self[name]

    def __getitem__(self, name: str) -> Entry:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Entry]:
        """Return the entries by name, with those of other packages."""
        group, self._group = self._group, ""
        if group:
            for point, entry in installed_entries(group, type(next(iter(self._entries.values())))):
                try:
                    self.register(entry)
                except ValueError as error:
                    leave_out(point, str(error))
        return self._entries
