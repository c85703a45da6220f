"""Whether a location can be written to, found out before hours of work end there."""

import contextlib

from histoforge.core.errors import StorageError
from histoforge.storage.location import Location

PROBE = ".histoforge-may-write"


def check_writable(location: Location) -> None:
    """Write a file of no bytes, `PROBE`, and take it away again where that is allowed.

    Raises:
        StorageError: the location does not exist, refuses, is full, or does not answer.
    """
    location.write(PROBE, b"")
    with contextlib.suppress(StorageError):
        location.delete(PROBE)
