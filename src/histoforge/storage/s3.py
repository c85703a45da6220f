"""An S3 prefix as a location, through the minio client."""

import hashlib
import io
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio
from minio.datatypes import Object
from minio.error import InvalidResponseError
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError

from histoforge.core.digests import digest_file
from histoforge.core.errors import StorageError
from histoforge.core.files import atomic_file
from histoforge.core.progress import say
from histoforge.storage.location import Entry, Location, checked_name, explained_copy
from histoforge.storage.s3_errors import FAILURES, explain, is_missing
from histoforge.storage.s3_settings import S3Settings
from histoforge.storage.transfers import WORKERS

CHUNK = 1 << 20
SLOWEST_BYTES_A_SECOND = 1024
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_RETRIED_STATUSES = (429, 500, 502, 503, 504)
_CONDITION_NOT_MET = (409, 412)
_PRESIGNED_FOR = timedelta(minutes=15)


class S3Location(Location):
    """The objects below `bucket/prefix/` of the server that the settings name.

    Interrupted reads go on where they broke off, as long as the object is still the same; what arrived is verified by
    its size and by the SHA-256 that `put` leaves with the object or, where it is an MD5, by the etag.
    """

    def __init__(self, scheme: str, bucket: str, prefix: str, server: "Server") -> None:
        self.scheme, self.bucket, self.prefix, self.server = scheme, bucket, prefix, server

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")

    def __repr__(self) -> str:
        return f"S3Location({str(self)!r})"

    def __reduce__(self) -> tuple[object, tuple[str, str, str]]:
        """To another process goes the address alone; the credentials come from that process's environment."""
        return open_s3, (self.scheme, self.bucket, self.prefix)

    def entries(self) -> list[Entry]:
        with self._explained(str(self)):
            return sorted(self._list(), key=lambda entry: entry.name)

    def exists(self) -> bool:
        with self._explained(str(self)):
            return next(self._list(), None) is not None

    def get(self, name: str, path: Path) -> None:
        key = self._key(name)
        with self._explained(f"{self}/{name}"), explained_copy(f"{self}/{name}", path), atomic_file(path) as temporary:
            stat = self.server.client.stat_object(self.bucket, key)
            with open(temporary, "wb") as file:
                self._download(key, stat, file)
            self._verify(temporary, stat, f"{self}/{name}")

    def put(self, path: Path, name: str) -> None:
        key, path = self._key(name), Path(path)
        try:
            digest, size = digest_file(path), path.stat().st_size
        except OSError as error:
            raise StorageError(f"{path} cannot be read ({error.strerror}): make it again, or correct it.") from error
        with self._explained(f"{self}/{name}"):
            self.server.client.fput_object(self.bucket, key, str(path), metadata={"sha256": digest})
            stat = self.server.client.stat_object(self.bucket, key)
        if stat.size != size or _recorded_sha256(stat) not in ("", digest):
            raise StorageError(f"{self}/{name} did not arrive whole: check the server and run it again.")

    def delete(self, name: str) -> None:
        with self._explained(f"{self}/{name}"):
            self.server.client.remove_object(self.bucket, self._key(name))

    def read(self, name: str) -> tuple[bytes, str] | None:
        with self._explained(f"{self}/{name}"):
            try:
                response = self.server.client.get_object(self.bucket, self._key(name))
            except FAILURES as error:
                if is_missing(error):
                    return None
                raise
            try:
                return response.read(), str(response.headers.get("etag", "")).replace('"', "")
            finally:
                response.close()
                response.release_conn()

    def write(self, name: str, content: bytes, only_over: str | None = None) -> bool:
        """As everywhere; the minio client sends no conditions, so they go with a request that it has signed."""
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

    def _key(self, name: str) -> str:
        name = checked_name(name, self)
        return f"{self.prefix}/{name}" if self.prefix else name

    def _list(self) -> Iterator[Entry]:
        prefix = f"{self.prefix}/" if self.prefix else ""
        for item in self.server.client.list_objects(self.bucket, prefix=prefix, recursive=True):
            name = str(item.object_name).removeprefix(prefix)
            if name and not name.endswith("/"):
                yield Entry(name, int(item.size or 0), str(item.etag or ""))

    def _download(self, key: str, stat: Object, file: BinaryIO) -> None:
        """Write the object to `file`; each break is waited out, as long as there is progress between the breaks."""
        settings, breaks, furthest = self.server.settings, 0, 0
        while file.tell() < int(stat.size or 0):
            try:
                self._append(key, stat, file)
            except MaxRetryError:
                raise
            except HTTPError:
                breaks = 1 if file.tell() - furthest >= CHUNK else breaks + 1
                furthest = max(furthest, file.tell())
                if breaks >= settings.attempts:
                    raise
                say(f"{self.scheme}://{self.bucket}/{key} broke off at byte {file.tell()}: going on from there.")
                time.sleep(settings.backoff * 2 ** (breaks - 1))

    def _append(self, key: str, stat: Object, file: BinaryIO) -> None:
        start, size, patience = file.tell(), int(stat.size or 0), self.server.settings.read_timeout
        response = self.server.client.get_object(
            self.bucket, key, offset=start, request_headers={"If-Match": f'"{stat.etag}"'} if stat.etag else None
        )
        try:
            if response.headers.get("etag", "").replace('"', "") != stat.etag:
                raise StorageError(f"{self.scheme}://{self.bucket}/{key} was replaced while it was read: run it again.")
            if start and not response.headers.get("content-range", "").startswith(f"bytes {start}-"):
                file.seek(0)
                file.truncate()
            checked, checked_at = file.tell(), time.monotonic()
            while chunk := response.read1(CHUNK, decode_content=False):
                file.write(chunk)
                waited = time.monotonic() - checked_at
                if waited > patience:
                    if file.tell() - checked < SLOWEST_BYTES_A_SECOND * waited:
                        raise ProtocolError("the server all but stopped sending")
                    checked, checked_at = file.tell(), time.monotonic()
            if file.tell() < size:
                raise ProtocolError("the server ended before the object did")
        finally:
            response.close()
            response.release_conn()

    def _verify(self, path: Path, stat: Object, what: str) -> None:
        expected, found = _recorded_sha256(stat), ""
        if expected:
            found = digest_file(path)
        elif _etag_is_md5(stat):
            expected = str(stat.etag).lower()
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if path.stat().st_size != stat.size or found != expected:
            raise StorageError(f"{what} is not what was stored there (its digest differs): store it again.")

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise explain(error, self.server.settings, what) from None


class Server:
    """A client of one S3 server, made anew in each process, since it must not be shared between them."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._process = 0
        self._made: tuple[Minio, urllib3.PoolManager] | None = None

    @property
    def client(self) -> Minio:
        """The client of this process."""
        return self._of_this_process()[0]

    @property
    def http(self) -> urllib3.PoolManager:
        """What that client sends its requests with."""
        return self._of_this_process()[1]

    def _of_this_process(self) -> tuple[Minio, urllib3.PoolManager]:
        if self._made is None or self._process != os.getpid():
            http = _http(self.settings)
            self._made, self._process = (_client(self.settings, http), http), os.getpid()
        return self._made


def open_s3(scheme: str, bucket: str, prefix: str) -> S3Location:
    """The location `scheme://bucket/prefix` at the server that the environment names; nothing is contacted yet.

    Raises:
        StorageError: no bucket, a key written into the location, or settings that are missing or wrong.
    """
    if "@" in bucket or ":" in bucket:
        raise StorageError(
            f"A {scheme}:// location holds no key and no server: write {scheme}://bucket/prefix and set "
            "HISTOFORGE_S3_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if not _BUCKET.fullmatch(bucket):
        raise StorageError(f"'{bucket}' cannot be the name of a bucket: write {scheme}://bucket/prefix.")
    prefix = prefix.strip("/")
    if prefix:
        checked_name(prefix, f"{scheme}://{bucket}")
    return S3Location(scheme, bucket, prefix, Server(S3Settings.from_environment()))


def _http(settings: S3Settings) -> urllib3.PoolManager:
    retries = urllib3.Retry(
        total=settings.attempts - 1,
        redirect=False,
        backoff_factor=settings.backoff,
        backoff_max=30,
        status_forcelist=_RETRIED_STATUSES,
        allowed_methods=None,
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=settings.connect_timeout, read=settings.read_timeout),
        maxsize=2 * WORKERS,
        cert_reqs="CERT_REQUIRED",
        ca_certs=settings.ca or certifi.where(),
        retries=retries,
    )


def _client(settings: S3Settings, http: urllib3.PoolManager) -> Minio:
    address = urlsplit(settings.endpoint)
    at_aws = (address.hostname or "").endswith(".amazonaws.com")
    return Minio(
        address.netloc,
        access_key=settings.access_key or None,
        secret_key=settings.secret_key or None,
        session_token=settings.session_token or None,
        secure=address.scheme == "https",
        region=settings.region or (None if at_aws else "us-east-1"),
        http_client=http,
    )


def _recorded_sha256(stat: Object) -> str:
    return str((stat.metadata or {}).get("x-amz-meta-sha256", "")).lower()


def _etag_is_md5(stat: Object) -> bool:
    """Whether the etag is the MD5 of the content: not so for objects in parts or encrypted ones."""
    encrypted = any(name.lower().startswith("x-amz-server-side-encryption") for name in stat.metadata or {})
    return not encrypted and re.fullmatch(r"[0-9a-fA-F]{32}", str(stat.etag)) is not None
