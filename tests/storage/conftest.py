"""An S3 server for the session, and a proxy before it that breaks connections."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy
from s3_server import S3Server, serve_s3, use


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serve_s3(tmp_path_factory.mktemp("s3") / "buckets") as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty bucket, `folder.name`; the environment leads to its server."""
    use(monkeypatch, s3_server.endpoint)
    return s3_server.bucket(f"bucket-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def proxy(s3_server: S3Server, bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """The environment leads to the same bucket through this proxy."""
    proxy = FaultyProxy(s3_server.port)
    use(monkeypatch, proxy.endpoint, HISTOFORGE_S3_READ_TIMEOUT="0.7")
    yield proxy
    proxy.close()
