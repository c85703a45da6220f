"""Locations are opened from a text and the environment, and no credential is shown."""

import pickle
from pathlib import Path

import pytest
from s3_server import ACCESS_KEY, SECRET_KEY, use

from histoforge.core.errors import StorageError
from histoforge.storage import open_location
from histoforge.storage.s3_settings import S3Settings

ENDPOINT = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("some/folder", "some/folder"),
        ("file:///some/fol%20der", "/some/fol der"),
        ("file://localhost/x", "/x"),
        ("s3://bucket", "s3://bucket"),
        ("S3://bucket/", "s3://bucket"),
        ("minio://bucket/pre fix/%20/", "minio://bucket/pre fix/%20"),
    ],
)
def test_the_text_of_a_location(monkeypatch: pytest.MonkeyPatch, text: str, shown: str) -> None:
    use(monkeypatch, ENDPOINT)
    assert str(open_location(text)) == shown


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The location is empty"),
        ("gs://bucket/x", "such as gs:// are not supported"),
        ("https://host/x", "such as https:// are not supported"),
        ("file://other/folder", "does not name a folder of this machine"),
        ("s3://", "cannot be the name of a bucket"),
        ("s3:///prefix", "cannot be the name of a bucket"),
        ("s3://bucket/a/../b", "cannot be the name of a file"),
    ],
)
def test_texts_that_are_not_locations(monkeypatch: pytest.MonkeyPatch, text: str, sentence: str) -> None:
    use(monkeypatch, ENDPOINT)
    with pytest.raises(StorageError, match=sentence):
        open_location(text)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"HISTOFORGE_S3_ENDPOINT": ""}, "No S3 server is configured: set HISTOFORGE_S3_ENDPOINT"),
        ({"HISTOFORGE_S3_ENDPOINT": "minio:9000"}, "is not a server's address: write http"),
        ({"HISTOFORGE_S3_ENDPOINT": "http://host/path"}, "is not a server's address"),
        ({"HISTOFORGE_S3_ENDPOINT": "http://host:port"}, "is not a server's address"),
        ({"HISTOFORGE_S3_ENDPOINT": f"http://me:{SECRET_KEY}@host"}, "is not a server's address"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "Only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set"),
        ({"HISTOFORGE_S3_SECRET_DIR": "/nowhere"}, "without the readable files 'accesskey' and 'secretkey'"),
        ({"HISTOFORGE_S3_CA": "/nowhere"}, "HISTOFORGE_S3_CA does not name a file"),
        ({"HISTOFORGE_S3_READ_TIMEOUT": "soon"}, "HISTOFORGE_S3_READ_TIMEOUT is not a number"),
        ({"HISTOFORGE_S3_ATTEMPTS": "nan"}, "HISTOFORGE_S3_ATTEMPTS is not a number"),
    ],
)
def test_settings_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], sentence: str) -> None:
    use(monkeypatch, ENDPOINT, **changes)
    with pytest.raises(StorageError, match=sentence) as error:
        open_location("s3://bucket/prefix")
    assert SECRET_KEY not in str(error.value)


def test_a_key_in_the_location_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ENDPOINT)
    with pytest.raises(StorageError, match="contains no key and no server") as error:
        open_location(f"s3://{ACCESS_KEY}:{SECRET_KEY}@bucket/prefix")
    assert SECRET_KEY not in str(error.value)


def test_the_first_endpoint_that_is_set_is_used() -> None:
    environment = {"MINIO_ENDPOINT": "http://c", "AWS_ENDPOINT_URL": "http://b:1/"}
    assert S3Settings.from_environment(environment).endpoint == "http://b:1"
    assert S3Settings.from_environment({**environment, "HISTOFORGE_S3_ENDPOINT": "https://a"}).endpoint == "https://a"


def test_a_mounted_secret_takes_precedence_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "accesskey").write_text("mounted\n")
    (tmp_path / "secretkey").write_text("hidden\n")
    settings = S3Settings.from_environment(
        {
            "HISTOFORGE_S3_ENDPOINT": ENDPOINT,
            "HISTOFORGE_S3_SECRET_DIR": str(tmp_path),
            "AWS_ACCESS_KEY_ID": "other",
            "AWS_SECRET_ACCESS_KEY": "other",
            "AWS_SESSION_TOKEN": "of the other",
        }
    )
    assert (settings.access_key, settings.secret_key, settings.session_token) == ("mounted", "hidden", "")


def test_no_credential_is_shown_or_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ENDPOINT, AWS_SESSION_TOKEN="tester-token")
    location = open_location("s3://bucket/prefix")
    shown = f"{location} {location!r} {S3Settings.from_environment()!r} {pickle.dumps(location)!r}"
    for credential in (ACCESS_KEY, SECRET_KEY, "tester-token"):
        assert credential not in shown
    assert str(pickle.loads(pickle.dumps(location))) == str(location)
