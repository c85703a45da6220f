"""Faults of a real S3 server: transfers complete, or end with one sentence and leave nothing."""

import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import minio.time
import pytest
from faulty_proxy import FaultyProxy
from minio.error import InvalidResponseError
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server, free_port, serve_s3, settings, use

from histoforge.core.errors import StorageError
from histoforge.storage import open_location
from histoforge.storage.s3 import S3Location
from histoforge.storage.s3_errors import explain
from histoforge.storage.s3_settings import S3Settings

SLIDE = os.urandom(3 << 20)


@pytest.fixture
def slide(s3_server: S3Server, bucket: Path) -> str:
    """The location of a bucket that holds `slides/a.svs`."""
    s3_server.store(bucket.name, "slides/a.svs", SLIDE)
    return f"s3://{bucket.name}/slides"


@contextmanager
def plain_web_server(folder: Path) -> Iterator[int]:
    """The port of a web server that knows nothing of S3, of signatures or of ranges."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_wrong_secret(slide: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, s3_server.endpoint, AWS_SECRET_ACCESS_KEY="a-wrong-secret")
    location = open_location(slide)
    with pytest.raises(StorageError, match="does not accept the access key or its secret") as listing:
        location.entries()
    with pytest.raises(StorageError, match=r"correct the key in AWS_ACCESS_KEY_ID") as getting:
        location.get("a.svs", tmp_path / "a.svs")
    for error in (listing, getting):
        assert "a-wrong-secret" not in str(error.value)
        assert ACCESS_KEY not in str(error.value)
        assert error.value.__suppress_context__


def test_no_key_at_all(slide: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, s3_server.endpoint, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    with pytest.raises(StorageError, match="no access key is set"):
        open_location(slide).entries()


def test_a_bucket_that_does_not_exist(bucket: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    location = open_location("s3://no-such-bucket/prefix")
    for call in (location.entries, location.exists, lambda: location.put(tmp_path / "x", "x")):
        with pytest.raises(StorageError, match=r"^There is no bucket for s3://no-such-bucket/prefix.*: create it, or"):
            call()


def test_a_server_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageError, match=r"cannot be reached \(Connection refused\)"):
        open_location("s3://bucket/prefix").entries()


def test_a_server_that_is_not_an_s3_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "index.html").write_text("<!doctype html><p>a console<br></p>")
    with plain_web_server(tmp_path) as port:
        use(monkeypatch, f"http://127.0.0.1:{port}")
        with pytest.raises(StorageError, match=r"does not answer like an S3 server|does not serve s3://bucket"):
            open_location("s3://bucket").entries()


def test_a_wrong_clock(slide: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = minio.time.utcnow
    monkeypatch.setattr(minio.time, "utcnow", lambda: now() - timedelta(hours=2))
    with pytest.raises(StorageError, match="The clock of this machine differs"):
        open_location(slide).entries()


def test_a_download_resumes_after_a_cut_connection(proxy: FaultyProxy, slide: str, tmp_path: Path) -> None:
    proxy.arm("cut", after=1 << 20, times=2)
    open_location(slide).get("a.svs", tmp_path / "a.svs")
    assert proxy.struck == 2
    assert (tmp_path / "a.svs").read_bytes() == SLIDE


def test_a_download_from_a_server_without_ranges_starts_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "a.svs").write_bytes(SLIDE)
    with plain_web_server(tmp_path) as port:
        proxy = FaultyProxy(port)
        use(monkeypatch, proxy.endpoint)
        proxy.arm("cut", after=1 << 20)
        open_location("s3://bucket").get("a.svs", tmp_path / "back")
        proxy.close()
    assert proxy.struck == 1
    assert (tmp_path / "back").read_bytes() == SLIDE


def test_a_cut_upload_is_repeated(proxy: FaultyProxy, bucket: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(11 << 20))
    proxy.arm("cut", after=4 << 20, times=2, upload=True)
    open_location(f"s3://{bucket.name}").put(tmp_path / "big", "big")
    assert proxy.struck == 2
    assert (bucket / "big").read_bytes() == (tmp_path / "big").read_bytes()


def test_repeated_cuts_are_reported_in_one_sentence(proxy: FaultyProxy, slide: str, tmp_path: Path) -> None:
    proxy.arm("cut", after=60_000, times=99)
    with pytest.raises(StorageError, match=r"stopped answering at s3://.*/slides/a\.svs \(tried 3 times\)"):
        open_location(slide).get("a.svs", tmp_path / "new" / "a.svs")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_stalled_download_is_reported_in_one_sentence(
    proxy: FaultyProxy, slide: str, tmp_path: Path, fault: str
) -> None:
    (tmp_path / "a.svs").write_bytes(b"before")
    proxy.arm(fault, after=1 << 19, times=99)
    with pytest.raises(StorageError, match="stopped answering at"):
        open_location(slide).get("a.svs", tmp_path / "a.svs")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.svs": b"before"}


def test_an_upload_that_hangs_leaves_the_old_object(
    proxy: FaultyProxy, s3_server: S3Server, bucket: Path, tmp_path: Path
) -> None:
    s3_server.store(bucket.name, "model", b"before")
    (tmp_path / "model").write_bytes(os.urandom(1 << 20))
    proxy.arm("hang", after=1 << 19, times=99, upload=True)
    with pytest.raises(StorageError, match="stopped answering at"):
        open_location(f"s3://{bucket.name}").put(tmp_path / "model", "model")
    assert (bucket / "model").read_bytes() == b"before"


def test_a_server_that_is_busy_for_a_while(proxy: FaultyProxy, slide: str) -> None:
    proxy.arm("503", times=2)
    assert [entry.name for entry in open_location(slide).entries()] == ["a.svs"]
    assert proxy.struck == 2


def test_a_server_that_stays_busy(proxy: FaultyProxy, slide: str, tmp_path: Path) -> None:
    proxy.arm("503", times=99)
    location = open_location(slide)
    for call in (location.entries, lambda: location.get("a.svs", tmp_path / "a.svs")):
        with pytest.raises(StorageError, match=r"keeps failing at .*\(HTTP 503, tried 3 times\)"):
            call()


def test_an_object_that_is_replaced_while_it_is_read(
    proxy: FaultyProxy, slide: str, s3_server: S3Server, bucket: Path, tmp_path: Path
) -> None:
    proxy.on_strike = lambda: s3_server.store(bucket.name, "slides/a.svs", bytes(len(SLIDE)))
    proxy.arm("cut", after=1 << 20)
    with pytest.raises(StorageError, match="was replaced while it was read"):
        open_location(slide).get("a.svs", tmp_path / "a.svs")
    assert list(tmp_path.iterdir()) == []


def test_downloads_are_verified(s3_server: S3Server, bucket: Path, tmp_path: Path) -> None:
    s3_server.store(bucket.name, "b", b"the content", sha256=hashlib.sha256(b"another").hexdigest())
    with pytest.raises(StorageError, match="is not what was stored there"):
        open_location(f"s3://{bucket.name}").get("b", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_damaged_download_is_repeated(
    proxy: FaultyProxy, slide: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    proxy.arm("flip", after=1 << 20)
    open_location(slide).get("a.svs", tmp_path / "a.svs")
    assert (proxy.struck, (tmp_path / "a.svs").read_bytes() == SLIDE) == (1, True)
    assert "arrived damaged: downloading it again" in capsys.readouterr().err


def test_repeated_damage_is_reported_in_one_sentence(proxy: FaultyProxy, slide: str, tmp_path: Path) -> None:
    proxy.arm("flip", after=1 << 20, times=99)
    with pytest.raises(StorageError, match=r"is not what was stored there \(its digest differs, tried 3 times\)"):
        open_location(slide).get("a.svs", tmp_path / "a.svs")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ask", ["entries", "exists", "read", "read_hashed"])
def test_a_request_with_a_damaged_response_is_repeated(proxy: FaultyProxy, slide: str, bucket: Path, ask: str) -> None:
    location = open_location(slide)
    location.write("champion.json", b"{}")
    proxy.arm("flip", after=300)
    digest = hashlib.sha256(b"{}").hexdigest()
    answers = {
        "entries": lambda: [entry.name for entry in location.entries()] == ["a.svs", "champion.json"],
        "exists": location.exists,
        "read": lambda: location.read("champion.json")[0] == b"{}",
        "read_hashed": lambda: location.read_hashed("champion.json", digest) == (b"{}", digest),
    }
    assert answers[ask]()
    assert proxy.struck == 1


def test_each_process_uses_a_separate_client(slide: str, tmp_path: Path) -> None:
    location = open_location(slide)
    assert isinstance(location, S3Location)
    assert location.exists()
    client = location.server.client
    child = os.fork()
    if child == 0:
        location.get("a.svs", tmp_path / "a.svs")
        os._exit(int(location.server.client is client))
    assert os.waitpid(child, 0)[1] == 0
    assert location.exists()
    assert (tmp_path / "a.svs").read_bytes() == SLIDE


def test_a_configured_certificate_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, to make a certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    with serve_s3(tmp_path / "buckets", "--cert", cert, "--key", key, scheme="https") as server:
        use(monkeypatch, server.endpoint)
        with pytest.raises(StorageError, match="no certificate that is trusted here: set HISTOFORGE_S3_CA"):
            open_location("s3://bucket").entries()
        use(monkeypatch, server.endpoint, HISTOFORGE_S3_CA=cert)
        with pytest.raises(StorageError, match="There is no bucket"):
            open_location("s3://bucket").entries()


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (403, "InvalidAccessKeyId", "does not accept the access key"),
        (403, "AccessDenied", "denies access to s3://b/k"),
        (400, "ExpiredToken", "has expired: renew AWS_SESSION_TOKEN"),
        (403, "RequestTimeTooSkewed", "The clock of this machine differs"),
        (400, "AuthorizationHeaderMalformed", "is in another region: set AWS_REGION"),
        (507, "XMinioStorageFull", "has no space left for s3://b/k"),
        (418, "Teapot", r"does not serve s3://b/k \(HTTP 418 Teapot\)"),
    ],
)
def test_each_refusal_has_a_message(status: int, code: str, sentence: str) -> None:
    body = f"<Error><Code>{code}</Code><AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId><Extra>{SECRET_KEY}</Extra></Error>"
    server = S3Settings.from_environment(settings("http://host"))
    with pytest.raises(StorageError, match=rf"^.*{sentence}.*\.$") as error:
        raise explain(InvalidResponseError(status, "text/xml", body), server, "s3://b/k")
    assert ACCESS_KEY not in str(error.value)
    assert SECRET_KEY not in str(error.value)
