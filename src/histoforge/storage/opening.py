"""From the text that a user gives to a location."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from histoforge.core.digests import digest_json
from histoforge.core.errors import StorageError
from histoforge.storage.local import LocalLocation
from histoforge.storage.location import Location

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


def open_location(text: str) -> Location:
    """The location that `text` names; nothing is contacted yet.

    Args:
        text: a path, `file:///path`, `s3://bucket/prefix` or `minio://bucket/prefix`. Server and credentials of the
            latter two come from the environment (see `S3Settings`), never from the text.

    Raises:
        StorageError: an unknown scheme, a text that is no location, or S3 settings that are missing or wrong.
    """
    if "\0" in text:
        raise StorageError("The location holds a NUL character: give a folder, or s3://bucket/prefix.")
    match = _SCHEME.fullmatch(text)
    if match is None:
        if not text.strip():
            raise StorageError("The location is empty: give a folder, or s3://bucket/prefix.")
        return LocalLocation(Path(os.path.expanduser(text)))
    scheme, rest = match.group(1).lower(), match.group(2)
    if scheme == "file":
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise StorageError(f"{text} does not name a folder of this machine: write file:///path/to/folder.")
        return LocalLocation(Path(unquote(parts.path)))
    if scheme in ("s3", "minio"):
        from histoforge.storage.s3 import open_s3

        bucket, _, prefix = rest.partition("/")
        return open_s3(scheme, bucket, prefix)
    raise StorageError(f"Locations of the kind {scheme}:// are not known: give a folder, s3:// or minio://.")


def digest_of_source(location: Location) -> str:
    """SHA-256 over the name, size and version of every file at `location`, as 64 hexadecimal digits.

    It changes when a file is added, removed, renamed or changed, without any file being read.

    Raises:
        StorageError: nothing is there, or the location does not answer.
    """
    return digest_json([[entry.name, entry.size, entry.version] for entry in location.source_entries()])
