"""The client of one S3 server, with its timeouts, retries and trusted certificates."""

import os
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio

from histoforge.core.errors import StorageError
from histoforge.storage.s3_settings import S3Settings
from histoforge.storage.transfers import WORKERS

_RETRIED_STATUSES = (429, 500, 502, 503, 504)


class Server:
    """A client of one S3 server, created separately in each process because processes must not share it."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._process = 0
        self._clients: tuple[Minio, urllib3.PoolManager] | None = None

    @property
    def client(self) -> Minio:
        """This process's client."""
        return self._of_this_process()[0]

    @property
    def http(self) -> urllib3.PoolManager:
        """The connection pool through which that client sends its requests."""
        return self._of_this_process()[1]

    def _of_this_process(self) -> tuple[Minio, urllib3.PoolManager]:
        if self._clients is None or self._process != os.getpid():
            http = _http(self.settings)
            self._clients, self._process = (_client(self.settings, http), http), os.getpid()
        return self._clients


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
    try:
        return Minio(
            address.netloc,
            access_key=settings.access_key or None,
            secret_key=settings.secret_key or None,
            session_token=settings.session_token or None,
            secure=address.scheme == "https",
            region=settings.region or (None if at_aws else "us-east-1"),
            http_client=http,
        )
    except ValueError as error:
        raise StorageError(f"{settings.endpoint} is not the address of an S3 server ({error}): correct it.") from None
