"""Secrets are hidden in messages, tracebacks, warnings and log records, and in the output of child processes."""

import io
import os
import subprocess
import sys

import pytest

from histoforge.core.output import SafeStream
from histoforge.core.secrets import HIDDEN, clean_credential, remember, scrub

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEBYaDkq8dI0kJbDEXAMPLETOKEN=="
KEY_ID = "AKIA" + "IOSFODNN7EXAMPLE"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": f"{SECRET}\n", "AWS_SESSION_TOKEN": TOKEN}
PIECES = (SECRET, TOKEN, KEY_ID, "wJalrXUtnFEMI", "FwoGZXIvYXdzEBYaDkq8dI0kJbDEXAMPLETOKEN", "5d672d79c15b13162d927")
LEAKS = """
import threading, warnings
def fail(text):
    raise KeyError(text)
class Failing:
    def __del__(self):
        raise ValueError(f"finaliser {url}")
thread = threading.Thread(target=fail, args=(f"thread {secret}",))
thread.start()
thread.join()
Failing()
warnings.warn(f"warning {url}")
logging.getLogger("urllib3").warning("record %s with %s", url, token)
earlier.error("earlier %s", secret)
print("output", url, {"x-amz-security-token": token})
sys.stderr.write("pieces " + secret[:9])
sys.stderr.write(secret[9:] + "\\n")
sys.stderr.write("\\rbar " + token)
sys.stderr.flush()
try:
    fail(f"first {secret}")
except KeyError as error:
    raise OSError(f"second {token.encode()!r} {url}") from error
"""
WAYS = ("thread", "finaliser", "warning", "record", "earlier", "output", "pieces", "bar", "first", "second")
SCRIPT = """
import logging, os, sys
from urllib.parse import quote
logging.basicConfig(level=logging.INFO)
earlier = logging.getLogger("earlier")
secret, token, key = (os.environ[n].strip() for n in
                      ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"))
url = (f"https://s3/b/k?X-Amz-Credential={key}%2F20261121%2Fs3&X-Amz-Security-Token={quote(token, safe='')}"
       f"&X-Amz-Signature=5d672d79c15b13162d9279b0855cfba6&a={quote(secret)}")
"""
IN_THE_PROGRAM = """
from histoforge.cli import app
def leak():
    LEAK
import histoforge.cli.presets as presets
presets.show_presets = leak
app.main(["presets"])
"""
IN_A_POD = """
from histoforge.tasks.task_process import task_process
with task_process("preprocess"):
    LEAK
"""


@pytest.mark.parametrize("script", [IN_THE_PROGRAM, IN_A_POD], ids=["command line", "pod"])
def test_no_output_shows_a_secret(script: str) -> None:
    code = SCRIPT + script.replace("LEAK", LEAKS.strip().replace("\n", "\n    "))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **ENVIRONMENT}
    )
    shown = done.stdout + done.stderr
    assert done.returncode == 1
    assert [way for way in WAYS if not any(way in line and HIDDEN in line for line in shown.splitlines())] == []
    assert [piece for piece in PIECES if piece in shown] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: AWS4-HMAC-SHA256 Credential=AKIA/2026/us/s3/aws4_request, Signature=ab12", 2),
        ("GET /b?X-Amz-Security-Token=Fwo%3D&X-Amz-Signature=77 HTTP/1.1", 2),
        ("'x-amz-security-token': 'Fwo123'", 1),
        ("Authorization: Bearer eyJ" + "hbGciOiJSUzI1NiJ9.eyJzdWIi", 1),
        ("Cookie: authservice_session=MTYxNz", 1),
        ("http_proxy=http://" + "someone:hunter2@proxy:3128", 1),
        ("a wrong signature: check the bearer of the key", 0),
        ("s3://bucket/a:b@c is no Credential", 0),
    ],
)
def test_signatures_and_tokens_are_hidden(text: str, shown: int) -> None:
    assert scrub(text).count(HIDDEN) == shown
    assert not any(piece in scrub(text) for piece in ("AKIA", "ab12", "Fwo", "=77", "eyJ", "MTYx", "hunter2"))


def test_a_remembered_value_is_hidden_in_every_form() -> None:
    remember("s3cr/t+välue")
    for form in ("s3cr/t+välue", "s3cr%2Ft%2Bv%C3%A4lue", "s3cr/t%2Bv%C3%A4lue", "s3cr/t+v\\xc3\\xa4lue"):
        assert scrub(f"x {form} y") == f"x {HIDDEN} y"


def test_a_mounted_secret_is_known_before_it_is_used(tmp_path, monkeypatch) -> None:
    (tmp_path / "secretkey").write_text("mounted-value-1\n")
    monkeypatch.setenv("HISTOFORGE_S3_SECRET_DIR", str(tmp_path))
    assert scrub("it is mounted-value-1.") == f"it is {HIDDEN}."


def test_short_and_ordinary_words_are_kept(monkeypatch) -> None:
    monkeypatch.setenv("MINIO_ACCESS_KEY", "minio")
    monkeypatch.setenv("MINIO_SECRET_KEY", "abc")
    assert scrub("minio://abc/prefix") == "minio://abc/prefix"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("key\n", "key"),
        (" key\r\n", "key"),
        ("two words", "two words"),
        ("a\nb", None),
        ("schlüssel", None),
        ("a\x00b", None),
        ("a\x7f", None),
        ("", ""),
    ],
)
def test_a_credential_contains_only_characters_of_headers(text: str, value: str | None) -> None:
    assert clean_credential(text) == value


def test_an_ascii_terminal_gets_escapes() -> None:
    raw = io.BytesIO()
    stream = SafeStream(io.TextIOWrapper(raw, encoding="ascii"))
    print("0.91 ± 0.02, \udcff", file=stream, flush=True)
    assert raw.getvalue() == b"0.91 \\xb1 0.02, \\udcff\n"
