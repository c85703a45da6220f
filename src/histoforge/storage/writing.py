"""Check that a location can be written to before hours of work depend on it."""

import contextlib

from histoforge.core.errors import StorageError
from histoforge.storage.location import Location

PROBE = ".histoforge-may-write"


def check_writable(location: Location) -> None:
    """Write the empty file `PROBE`, and remove it again if that is allowed.

    Raises:
        StorageError: the location does not exist, denies access, is full, or does not respond.
    """
    location.write(PROBE, b"")
    with contextlib.suppress(StorageError):
        location.delete(PROBE)
