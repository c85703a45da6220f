"""Entries of registries that other installed packages bring along, through the entry points of their metadata."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from histoforge.core.progress import say


def installed_entries(group: str, kind: type) -> Iterator[tuple[EntryPoint, Any]]:
    """Yield the entry points of a group with the objects that they name, sorted by package and name.

    A package that does not import, or that names something else than an object of `kind`, is reported on standard error
    and left out, so that it does not keep other commands from working.

    Args:
        group: name of the group, such as 'histoforge.metrics'.
        kind: class of the objects.
    """
    for point in sorted(entry_points(group=group), key=lambda point: (package_of(point), point.name)):
        try:
            entry = point.load()
        except Exception as error:  # whatever another package's code raises
            leave_out(point, f"{type(error).__name__}: {error}")
            continue
        if isinstance(entry, kind):
            yield point, entry
        else:
            leave_out(point, f"{point.value} is no {kind.__name__}")


def leave_out(point: EntryPoint, reason: str) -> None:
    """Report an entry point that is not used."""
    where = f"'{point.name}' ({point.group}) of the package {package_of(point)}"
    say(f"warning: {where} is left out ({' '.join(reason.split())}): update that package, or uninstall it.")


def package_of(point: EntryPoint) -> str:
    """Return the name and version of the package of an entry point, such as 'histoforge-example 1.0'."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"
