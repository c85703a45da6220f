"""Download of an object into a file by one stream, which resumes where it broke off."""

import os
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import BinaryIO

from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError
from urllib3.response import BaseHTTPResponse

from histoforge.core.errors import StorageError
from histoforge.core.progress import say
from histoforge.core.timings import spent
from histoforge.storage.s3_digests import expected_digest, new_hash
from histoforge.storage.s3_server import Server
from histoforge.storage.transfers import ByteProgress

CHUNK = 1 << 20
MINIMUM_BYTES_PER_SECOND = 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


def download(server: Server, bucket: str, key: str, name: str, file: BinaryIO) -> None:
    """Write an object to a file and verify it; an object that fails verification is downloaded again.

    Args:
        server: the server.
        bucket, key: address of the object on the server.
        name: name of the object in messages.
        file: the file, open for writing and unbuffered.

    Raises:
        StorageError: the object was replaced during the download, or never arrived as it was stored.
        HTTPError, MinioException: the server failed permanently.
    """
    attempts = server.settings.attempts
    for attempt in range(1, attempts + 1):
        file.truncate(0)
        with spent("read") as work, _Stream(server, bucket, key, name, file) as stream:
            arrived = stream.receive_all()
            work.bytes = stream.position
            if arrived:
                return
        if attempt < attempts:
            say(f"{name} arrived damaged: downloading it again.")
    raise StorageError(
        f"{name} is not what was stored there (its digest differs, tried {attempts} times): store it again."
    )


class _Stream:
    """The bytes of one version of an object, over as many connections as it takes.

    Attributes:
        position: number of bytes written so far.
        size: size in bytes, or -1 before the first response.
        etag: etag of the object; '' if the server has none.
    """

    def __init__(self, server: Server, bucket: str, key: str, name: str, file: BinaryIO) -> None:
        self.server, self.bucket, self.key, self.name, self.file = server, bucket, key, name, file
        self.position, self.size, self.etag = 0, -1, ""
        self._headers: Mapping[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def receive_all(self) -> bool:
        """Receive the object, reconnecting after breaks, and return whether it passes verification."""
        settings, breaks, furthest = self.server.settings, 0, 0
        while self.size < 0 or self.position < self.size:
            try:
                self._receive()
            except MaxRetryError:
                raise
            except HTTPError:
                breaks = 1 if self.position - furthest >= CHUNK else breaks + 1
                furthest = max(furthest, self.position)
                if breaks >= settings.attempts:
                    raise
                say(f"{self.name} broke off at byte {self.position}: resuming there.")
                time.sleep(settings.backoff * 2 ** (breaks - 1))
        return os.fstat(self.file.fileno()).st_size == self.size and self._expected in ("", self._digest.hexdigest())

    def _receive(self) -> None:
        condition: dict[str, str | list[str] | tuple[str]] = {"If-Match": f'"{self.etag}"'} if self.etag else {}
        response = self.server.client.get_object(self.bucket, self.key, offset=self.position, request_headers=condition)
        try:
            self._check(response)
            self._copy(response)
        finally:
            response.close()
            response.release_conn()

    def _check(self, response: BaseHTTPResponse) -> None:
        """Take size and version from the first response, and check every later response against them."""
        content_range = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
        size = int(content_range.group(2) if content_range else response.headers.get("content-length", 0))
        etag = response.headers.get("etag", "").replace('"', "")
        if self.size < 0:
            self.size, self.etag, self._headers = size, etag, response.headers
            self._progress = self._stack.enter_context(ByteProgress(f"reading {self.name}", size))
            self._start()
        elif (etag, size) != (self.etag, self.size):
            raise StorageError(f"{self.name} was replaced while it was read: run it again.")
        if content_range is None and self.position:  # a server without ranges sends everything again
            self._progress.update(-self.position)
            self._start()
        elif content_range and int(content_range.group(1)) != self.position:
            raise ProtocolError("the server sent another range than the requested one")

    def _start(self) -> None:
        self.position = 0
        self.file.seek(0)
        self._expected, algorithm = expected_digest(self.etag, self._headers)
        self._digest = new_hash(algorithm)

    def _copy(self, response: BaseHTTPResponse) -> None:
        patience = self.server.settings.read_timeout
        checked, checked_at = self.position, time.monotonic()
        while chunk := response.read1(CHUNK, decode_content=False):
            self._write(chunk)
            waited = time.monotonic() - checked_at
            if waited > patience:
                if self.position - checked < MINIMUM_BYTES_PER_SECOND * waited:
                    raise ProtocolError("the server all but stopped sending")
                checked, checked_at = self.position, time.monotonic()
        if self.position < self.size:
            raise ProtocolError("the response ended before the object did")

    def _write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self.position += len(chunk)
        self._progress.update(len(chunk))
        view = memoryview(chunk)
        while view:  # an unbuffered file may write less than it is given
            view = view[self.file.write(view) :]
