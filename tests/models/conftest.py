"""Fixtures: locations of published models in a folder and in a bucket of a real S3 server."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import S3Server, serve_s3, use


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serve_s3(tmp_path_factory.mktemp("models-s3") / "buckets") as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def models(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the location of published models as a user writes it."""
    if request.param == "folder":
        return str(tmp_path / "models")
    server: S3Server = request.getfixturevalue("model_server")
    use(monkeypatch, server.endpoint)
    bucket = f"models-{uuid.uuid4().hex[:12]}"
    server.bucket(bucket)
    return f"s3://{bucket}/models"
