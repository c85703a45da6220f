"""Open a location from the text that a user gives."""

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
    """Return the location that `text` names, without contacting a server.

    Args:
        text: a path, `file:///path`, `s3://bucket/prefix` or `minio://bucket/prefix`. For the latter two, the server
            and credentials come from the environment (see `S3Settings`), never from the text.

    Raises:
        StorageError: the scheme is unknown, the text is not a location, or the S3 settings are missing or wrong.
    """
    if "\0" in text:
        raise StorageError("The location contains a NUL character: give a folder, or s3://bucket/prefix.")
    match = _SCHEME.fullmatch(text)
    if match is None:
        if not text.strip():
            raise StorageError("The location is empty: give a folder, or s3://bucket/prefix.")
        return LocalLocation(Path(os.path.expanduser(text)))
    scheme, bucket_and_prefix = match.group(1).lower(), match.group(2)
    if scheme == "file":
        address = urlsplit(text)
        if address.netloc not in ("", "localhost") or not address.path:
            raise StorageError(f"{text} does not name a folder of this machine: write file:///path/to/folder.")
        return LocalLocation(Path(unquote(address.path)))
    if scheme in ("s3", "minio"):
        from histoforge.storage.s3 import open_s3

        bucket, _, prefix = bucket_and_prefix.partition("/")
        return open_s3(scheme, bucket, prefix)
    raise StorageError(f"Locations such as {scheme}:// are not supported: give a folder, s3:// or minio://.")


def digest_of_source(location: Location) -> str:
    """Return the SHA-256 over the name, size and version of every file at `location`, as 64 hexadecimal digits.

    It changes when a file is added, removed, renamed or modified. No file is read to compute it.

    Raises:
        StorageError: the location has no files or does not respond.
    """
    return digest_json([[entry.name, entry.size, entry.version] for entry in location.source_entries()])
