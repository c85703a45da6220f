"""Location for an S3 prefix, through the minio client."""

import hashlib
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError
from urllib3.exceptions import ProtocolError

from histoforge.core.digests import digest_file
from histoforge.core.errors import StorageError
from histoforge.core.files import atomic_file
from histoforge.core.progress import say
from histoforge.core.timings import spent
from histoforge.storage.location import Entry, Location, checked_name, explained_copy
from histoforge.storage.s3_digests import expected_digest, new_hash
from histoforge.storage.s3_download import download
from histoforge.storage.s3_errors import FAILURES, explain, is_missing, lost_its_parts
from histoforge.storage.s3_server import Server
from histoforge.storage.s3_settings import S3Settings
from histoforge.storage.transfers import ByteProgress

PART_BYTES = 5 << 20
PARALLEL_PARTS = 4
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_CONDITION_NOT_MET = (409, 412)
_PRESIGNED_FOR = timedelta(minutes=15)

Result = TypeVar("Result")


class S3Location(Location):
    """The objects below `bucket/prefix/` on the server that the settings name.

    An interrupted read resumes where it stopped, provided that the object is unchanged. The data is verified by its
    size and by the SHA-256 that `put` stores with the object or, if the etag is an MD5, by the etag.
    """

    def __init__(self, scheme: str, bucket: str, prefix: str, server: Server) -> None:
        self.scheme, self.bucket, self.prefix, self.server = scheme, bucket, prefix, server

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")

    def __repr__(self) -> str:
        return f"S3Location({str(self)!r})"

    def __reduce__(self) -> tuple[object, tuple[str, str, str]]:
        """Pickle the address alone; another process takes the credentials from its own environment."""
        return open_s3, (self.scheme, self.bucket, self.prefix)

    def entries(self) -> list[Entry]:
        with self._explained(str(self)):
            return self._retried(lambda: sorted(self._list(), key=lambda entry: entry.name))

    def exists(self) -> bool:
        with self._explained(str(self)):
            return self._retried(lambda: next(self._list(), None) is not None)

    def get(self, name: str, path: Path, durable: bool = True) -> None:
        key, target = self._key(name), f"{self}/{name}"
        with (
            self._explained(target),
            explained_copy(target, path),
            atomic_file(path, durable) as temporary,
            open(temporary, "wb", buffering=0) as file,
        ):
            download(self.server, self.bucket, key, target, file)

    def put(self, path: Path, name: str) -> None:
        """See `Location.put`; the server verifies each part against the digest that the minio client signs."""
        key, path, target = self._key(name), Path(path), f"{self}/{name}"
        try:
            size, digest = path.stat().st_size, digest_file(path)
        except OSError as error:
            raise StorageError(
                f"{path} cannot be read ({error.strerror}): correct the path, or make the file again."
            ) from error
        with self._explained(target), explained_copy(path, target):
            for attempt in range(1, self.server.settings.attempts + 1):
                try:
                    with spent("write", size=size), ByteProgress(f"writing {target}", size) as progress:
                        self.server.client.fput_object(
                            self.bucket,
                            key,
                            str(path),
                            metadata={"sha256": digest},
                            part_size=PART_BYTES,
                            num_parallel_uploads=PARALLEL_PARTS,
                            progress=progress,
                        )
                    return
                except FAILURES as error:
                    if not lost_its_parts(error) or attempt == self.server.settings.attempts:
                        raise
                    say(f"{self.server.settings.endpoint} lost the parts of {target}: uploading it again.")

    def holds(self, entry: Entry, path: Path) -> bool:
        if Path(path).stat().st_size != entry.size:
            return False
        with self._explained(f"{self}/{entry.name}"):
            stat = self.server.client.stat_object(self.bucket, self._key(entry.name))
        expected, algorithm = expected_digest(str(stat.etag or ""), stat.metadata)
        with open(path, "rb") as file:
            return expected == hashlib.file_digest(file, lambda: new_hash(algorithm)).hexdigest()

    def delete(self, name: str) -> None:
        with self._explained(f"{self}/{name}"):
            self.server.client.remove_object(self.bucket, self._key(name))

    def read(self, name: str) -> tuple[bytes, str] | None:
        with self._explained(f"{self}/{name}"):
            return self._retried(lambda: self._read(self._key(name)))

    def read_hashed(self, name: str, expected: str) -> tuple[bytes, str] | None:
        with self._explained(f"{self}/{name}"):
            return self._retried(lambda: self._read_hashed(self._key(name), expected))

    def write(self, name: str, content: bytes, only_over: str | None = None) -> bool:
        """See `Location.write`; the minio client sends no conditions, so they are added to a request that it signed."""
        key = self._key(name)
        with self._explained(f"{self}/{name}"):
            if only_over is None:
                self.server.client.put_object(self.bucket, key, io.BytesIO(content), len(content))
                return True
            url = self.server.client.get_presigned_url("PUT", self.bucket, key, expires=_PRESIGNED_FOR)
            condition = {"If-Match": f'"{only_over}"'} if only_over else {"If-None-Match": "*"}
            response = self.server.http.request("PUT", url, body=content, headers=condition)
            if response.status in _CONDITION_NOT_MET:
                return False
            if response.status >= 300:
                kind = response.headers.get("content-type", "")
                raise InvalidResponseError(response.status, kind, response.data.decode("utf-8", "replace"))
            return True

    def child(self, name: str) -> "S3Location":
        return S3Location(self.scheme, self.bucket, self._key(name), self.server)

    def _retried(self, request: Callable[[], Result]) -> Result:
        """Return the result of `request`, calling it again if a response arrives damaged or is cut off."""
        for _ in range(1, self.server.settings.attempts):
            try:
                return request()
            except (ParseError, ValueError, ProtocolError):
                time.sleep(self.server.settings.backoff)
        try:
            return request()
        except ValueError as error:
            raise ParseError(str(error)) from None

    def _read(self, key: str) -> tuple[bytes, str] | None:
        received = self._receive(key)
        if received is None:
            return None
        content, etag, headers = received
        _verify(content, etag, headers)
        return content, etag

    def _read_hashed(self, key: str, expected: str) -> tuple[bytes, str] | None:
        received = self._receive(key)
        if received is None:
            return None
        content, etag, headers = received
        digest = hashlib.sha256(content).hexdigest()
        if digest != expected:
            _verify(content, etag, headers)
        return content, digest

    def _receive(self, key: str) -> tuple[bytes, str, Mapping[str, str]] | None:
        """Return the content, the etag and the headers of an object; None if there is no such object."""
        try:
            response = self.server.client.get_object(self.bucket, key)
        except FAILURES as error:
            if is_missing(error):
                return None
            raise
        try:
            return response.read(), str(response.headers.get("etag", "")).replace('"', ""), response.headers
        finally:
            response.close()
            response.release_conn()

    def _key(self, name: str) -> str:
        name = checked_name(name, self)
        return f"{self.prefix}/{name}" if self.prefix else name

    def _list(self) -> Iterator[Entry]:
        prefix = f"{self.prefix}/" if self.prefix else ""
        for item in self.server.client.list_objects(self.bucket, prefix=prefix, recursive=True):
            name = str(item.object_name).removeprefix(prefix)
            if name and not name.endswith("/"):
                yield Entry(name, int(item.size or 0), str(item.etag or ""))

    @contextmanager
    def _explained(self, target: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise explain(error, self.server.settings, target) from None


def _verify(content: bytes, etag: str, headers: Mapping[str, str]) -> None:
    """Compare content with the digest that the server knows, if any.

    Raises:
        ProtocolError: it arrived damaged.
    """
    expected, algorithm = expected_digest(etag, headers)
    if expected and new_hash(algorithm, content).hexdigest() != expected:
        raise ProtocolError("the content differs from what was stored")


def open_s3(scheme: str, bucket: str, prefix: str) -> S3Location:
    """Return the location `scheme://bucket/prefix` on the server that the environment names, without contacting it.

    Raises:
        StorageError: there is no bucket, the location contains a key, or the settings are missing or wrong.
    """
    if "@" in bucket or ":" in bucket:
        raise StorageError(
            f"A {scheme}:// location contains no key and no server: write {scheme}://bucket/prefix and set "
            "HISTOFORGE_S3_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if not _BUCKET.fullmatch(bucket):
        raise StorageError(f"'{bucket}' cannot be the name of a bucket: write {scheme}://bucket/prefix.")
    prefix = prefix.strip("/")
    if prefix:
        checked_name(prefix, f"{scheme}://{bucket}")
    return S3Location(scheme, bucket, prefix, Server(S3Settings.from_environment()))
