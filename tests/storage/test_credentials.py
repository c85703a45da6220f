"""Credentials from files and shells, with newlines and with characters that requests do not allow."""

import uuid
from pathlib import Path

import pytest
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server, settings, use

from histoforge.cli import main
from histoforge.core.errors import StorageError
from histoforge.storage import open_location
from histoforge.storage.s3_settings import S3Settings

TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN"
UNUSABLE = ("\n{}", "{}\x00", "{}\u2028x", "schlüssel{}", "{}\N{SNOWMAN}")


@pytest.fixture
def filled(bucket: Path, s3_server: S3Server) -> str:
    name = f"slides-{uuid.uuid4().hex[:8]}"
    s3_server.store(bucket.name, f"{name}/a.svs", b"slide")
    return f"s3://{bucket.name}/{name}"


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n\n", "\t"])
def test_a_newline_after_a_key_is_ignored(
    filled: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    changes = {"AWS_ACCESS_KEY_ID": ACCESS_KEY + end, "AWS_SECRET_ACCESS_KEY": end + SECRET_KEY + end}
    use(monkeypatch, s3_server.endpoint, **changes, AWS_REGION=f"us-east-1{end}")
    assert [entry.name for entry in open_location(filled).entries()] == ["a.svs"]
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN + end)
    assert S3Settings.from_environment().session_token == TOKEN
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("MINIO_ACCESS_KEY", ACCESS_KEY + end)
    monkeypatch.setenv("MINIO_SECRET_KEY", SECRET_KEY + end)
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    assert open_location(filled).exists()


def test_files_of_a_mounted_secret_may_end_with_a_newline(
    filled: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "accesskey").write_bytes(f"{ACCESS_KEY}\r\n".encode())
    (tmp_path / "secretkey").write_bytes(f"{SECRET_KEY}\n\n".encode())
    use(monkeypatch, s3_server.endpoint, HISTOFORGE_S3_SECRET_DIR=str(tmp_path))
    assert open_location(filled).exists()


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("form", UNUSABLE[2:])
def test_characters_that_headers_do_not_allow_are_refused_in_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    use(monkeypatch, "http://127.0.0.1:9", **{name: form.format(TOKEN)})
    with pytest.raises(SystemExit) as ended:
        main(["models", "list", "--models", "s3://bucket/models"])
    message = capsys.readouterr().err
    assert (ended.value.code, message.count("\n")) == (2, 1)
    assert message.startswith(f"{name} contains a character that is not allowed in an HTTP header")
    assert TOKEN not in message
    assert "schl" not in message


@pytest.mark.parametrize("form", [*UNUSABLE[1:], "{}\nmore"])
def test_a_mounted_secret_with_characters_that_headers_do_not_allow(tmp_path: Path, form: str) -> None:
    (tmp_path / "accesskey").write_text(ACCESS_KEY)
    (tmp_path / "secretkey").write_bytes(form.format(TOKEN).encode())
    environment = {**settings("http://127.0.0.1:9"), "HISTOFORGE_S3_SECRET_DIR": str(tmp_path)}
    with pytest.raises(StorageError, match=r"^The file 'secretkey' in HISTOFORGE_S3_SECRET_DIR contains a") as error:
        S3Settings.from_environment(environment)
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize("region", ["eu central", "eu-central-1/x", "é", "-"])
def test_an_invalid_region_is_refused(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    use(monkeypatch, "http://127.0.0.1:9", AWS_REGION=region)
    with pytest.raises(StorageError, match="AWS_REGION is not the name of a region"):
        open_location("s3://bucket/prefix")
