"""Download of an object into a file: small objects in one request, large ones in parallel ranges."""

import os
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from minio.error import MinioException
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError
from urllib3.response import BaseHTTPResponse

from histoforge.core.errors import StorageError
from histoforge.core.progress import say
from histoforge.storage.s3_digests import expected_digest, new_hash
from histoforge.storage.s3_errors import status_of
from histoforge.storage.transfers import Bytes

if TYPE_CHECKING:
    import hashlib

    from histoforge.storage.s3_server import Server

CHUNK = 1 << 20
RANGE = 32 << 20
STREAMS = 4
SLOWEST_BYTES_A_SECOND = 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_EMPTY = 416


@dataclass
class _Span:
    """Bytes `position` to `end` of the object, which are still to be fetched."""

    position: int
    end: int


@dataclass
class Download:
    """Download of one object into a file.

    A broken connection is resumed where it stopped, provided that the object is unchanged.

    Attributes:
        server, bucket, key: location of the object.
        what: name of the object in messages.
        descriptor: descriptor of the file, open for reading and writing.
        size: size in bytes, once the first response has arrived.
        etag: etag of the object; '' if the server has none.
        headers: headers of the first response, which contain the object's metadata.
    """

    server: "Server"
    bucket: str
    key: str
    what: str
    descriptor: int
    size: int = -1
    etag: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    _in_ranges: bool = True
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Write the object to the file and verify it; an object that fails verification is downloaded again.

        Raises:
            StorageError: the object was replaced during the download, or never arrived as it was stored.
            HTTPError, MinioException: the server failed permanently.
        """
        for attempt in range(1, self.server.settings.attempts + 1):
            if self._arrives_whole():
                return
            if attempt < self.server.settings.attempts:
                say(f"{self.what} arrived damaged: fetching it anew.")
                os.ftruncate(self.descriptor, 0)
                self.size, self.etag, self._in_ranges = -1, "", True
        raise StorageError(
            f"{self.what} is not what was stored there (its digest differs, tried {self.server.settings.attempts} "
            "times): store it again."
        )

    def _arrives_whole(self) -> bool:
        """Fetch the object, updating the digest as the ranges arrive, and return whether it passes verification."""
        first = _Span(0, RANGE)
        self._receive_all(first)
        expected, algorithm = expected_digest(self.etag, self.headers)
        digest = new_hash(algorithm)
        spans = [_Span(start, min(start + RANGE, self.size)) for start in range(first.position, self.size, RANGE)]
        if spans:
            self._receive_side_by_side(spans, digest, first.position)
        else:
            self._add(digest, 0, self.size)
        return os.fstat(self.descriptor).st_size == self.size and expected in ("", digest.hexdigest())

    def _receive_side_by_side(self, spans: list[_Span], digest: "hashlib._Hash", position: int) -> None:
        with Bytes(f"reading {self.what}", self.size) as progress, ThreadPoolExecutor(STREAMS) as pool:
            progress.update(position)
            running = [pool.submit(self._receive_span, span, progress) for span in spans]
            self._add(digest, 0, position)
            for done in running:
                try:
                    done.result()
                except BaseException:
                    self._stopped.set()
                    raise
                self._add(digest, position, min(position + RANGE, self.size))
                position = min(position + RANGE, self.size)

    def _add(self, digest: "hashlib._Hash", start: int, end: int) -> None:
        while start < end and (block := os.pread(self.descriptor, min(CHUNK, end - start), start)):
            digest.update(block)
            start += len(block)

    def _receive_span(self, span: _Span, progress: Bytes) -> None:
        start = span.position
        self._receive_all(span)
        progress.update(span.end - start)

    def _receive_all(self, span: _Span) -> None:
        settings, breaks, furthest = self.server.settings, 0, span.position
        while self.size < 0 or span.position < min(span.end, self.size):
            try:
                self._receive(span)
            except MaxRetryError:
                raise
            except HTTPError:
                breaks = 1 if span.position - furthest >= CHUNK else breaks + 1
                furthest = max(furthest, span.position)
                if breaks >= settings.attempts or self._stopped.is_set():
                    raise
                say(f"{self.what} broke off at byte {span.position}: going on from there.")
                time.sleep(settings.backoff * 2 ** (breaks - 1))

    def _receive(self, span: _Span) -> None:
        condition: dict[str, str | list[str] | tuple[str]] = {"If-Match": f'"{self.etag}"'} if self.etag else {}
        try:
            response = self.server.client.get_object(
                self.bucket, self.key, offset=span.position, length=span.end - span.position, request_headers=condition
            )
        except MinioException as error:
            if status_of(error) == _EMPTY and self.size < 0:
                return self._learn_of_nothing()
            raise
        try:
            self._check(response, span)
            self._copy(response, span)
        finally:
            response.close()
            response.release_conn()

    def _check(self, response: BaseHTTPResponse, span: _Span) -> None:
        """Take size and version from the first response, and check every other response against them."""
        match = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
        etag = response.headers.get("etag", "").replace('"', "")
        if self.size < 0:
            self.size = int(match.group(2) if match else response.headers.get("content-length", 0))
            self.etag, self.headers, self._in_ranges = etag, response.headers, match is not None
        if etag != self.etag or (match and int(match.group(2)) != self.size):
            raise StorageError(f"{self.what} was replaced while it was read: run it again.")
        if match is None or int(match.group(1)) != span.position:
            if self._in_ranges:
                raise ProtocolError("the server answered with other bytes than those asked for")
            span.position = 0
        if not self._in_ranges:
            span.end = self.size

    def _copy(self, response: BaseHTTPResponse, span: _Span) -> None:
        patience, end = self.server.settings.read_timeout, min(span.end, self.size)
        checked, checked_at = span.position, time.monotonic()
        while chunk := response.read1(CHUNK, decode_content=False):
            if self._stopped.is_set():
                raise ProtocolError("another part failed")
            _write(self.descriptor, chunk, span.position)
            span.position += len(chunk)
            waited = time.monotonic() - checked_at
            if waited > patience:
                if span.position - checked < SLOWEST_BYTES_A_SECOND * waited:
                    raise ProtocolError("the server all but stopped sending")
                checked, checked_at = span.position, time.monotonic()
        if span.position < end:
            raise ProtocolError("the server ended before the object did")

    def _learn_of_nothing(self) -> None:
        """Take the metadata of an empty object, which has no ranges."""
        stat = self.server.client.stat_object(self.bucket, self.key)
        if stat.size:
            raise ProtocolError("the server has no beginning of an object that is not empty")
        self.size, self.etag, self.headers = 0, str(stat.etag or ""), dict(stat.metadata or {})


def _write(descriptor: int, chunk: bytes, position: int) -> None:
    view = memoryview(chunk)
    while view:
        written = os.pwrite(descriptor, view, position)
        view, position = view[written:], position + written
