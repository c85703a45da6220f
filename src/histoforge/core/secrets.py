"""Credentials: cleaned when read, and replaced by `***` in everything that is printed or logged."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

HIDDEN = "***"
INVALID_CREDENTIAL = (
    "{name} contains a character that is not allowed in an HTTP header (a control character, or one beyond ASCII): "
    "copy it again."
)
MIN_SECRET_LENGTH = 8
"""Minimum length of a value that is hidden wherever it occurs; a shorter one could match parts of ordinary words."""

_NAMES = re.compile(r".*(SECRET|SECRET_KEY|SECRET_ACCESS_KEY|TOKEN|PASSWORD|COOKIES?)$")
_LONG_NAMES = re.compile(r".*ACCESS_KEY(_ID)?$")
MIN_KEY_ID_LENGTH = 16
"""Minimum length of an access key id that is hidden: AWS ids have 20 characters, while MinIO's is often 'minio'."""
_FILES = {"KF_PIPELINES_SA_TOKEN_PATH": "", "HISTOFORGE_S3_SECRET_DIR": "secretkey"}

_VALUE = r"(?:[^\s&,;\"'<>\\]|%[0-9A-Fa-f]{2})+"
_PATTERNS = (
    re.compile(rf"(?i)\b(X-Amz-(?:Credential|Signature|Security-Token)[\"']?\s*[=:]\s*(?:b?[\"'])?){_VALUE}"),
    re.compile(rf"\b((?:Credential|Signature|AWSAccessKeyId)=){_VALUE}"),
    re.compile(r"(?i)\b((?:Bearer|Basic)\s+)[A-Za-z0-9+/=._~-]{16,}"),
    re.compile(r"(?i)\b((?:Set-)?Cookie:\s*).+"),
    re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@'\"]+:[^\s/@'\"]*(?=@)"),
)

_remembered: set[str] = set()


def clean_credential(text: str, min_length: int = MIN_SECRET_LENGTH) -> str | None:
    """Return a credential without surrounding spaces and line ends, or None if an HTTP header cannot contain it.

    A header contains printable ASCII only, and files made with `echo` or `--from-file` often end with a line end. A
    value of at least `min_length` characters is remembered, so that `scrub` hides it.
    """
    value = text.strip()
    remember(value, min_length)
    return value if all(" " <= character <= "~" for character in value) else None


def remember(value: str, min_length: int = MIN_SECRET_LENGTH) -> None:
    """Hide `value`, and each of its lines, from now on."""
    _remembered.update(line for line in value.split() if len(line) >= min_length)


def scrub(text: str) -> str:
    """Return `text` without known secrets, in plain and URL-encoded form, and without signatures and tokens."""
    for value in sorted(_remembered | _from_environment(os.environ), key=len, reverse=True):
        for form in dict.fromkeys((value, quote(value, safe=""), quote(value), quote_plus(value), _escaped(value))):
            text = text.replace(form, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def _from_environment(environment: Mapping[str, str]) -> set[str]:
    """Return the secrets that are currently in environment variables or in the files that these name."""
    values = {value for name, value in environment.items() if _NAMES.fullmatch(name)}
    values |= {v for name, v in environment.items() if _LONG_NAMES.fullmatch(name) and len(v) >= MIN_KEY_ID_LENGTH}
    for name, file in _FILES.items():
        if environment.get(name):
            values.add(_read(Path(environment[name]) / file))
    return {line for value in values for line in value.split() if len(line) >= MIN_SECRET_LENGTH}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""


def _escaped(value: str) -> str:
    """Return a value as `repr` shows its bytes: `b'caf\\xc3\\xa9'`."""
    return repr(value.encode("utf-8", "surrogateescape"))[2:-1]
