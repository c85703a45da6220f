"""SHA-256 digests of files and settings, which name, verify and compare artifacts."""

import hashlib
import json
from pathlib import Path
from typing import Any

from histoforge.core.timings import spent


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with spent("read") as work, open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        work.bytes = file.tell()
        return digest


def digest_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value, regardless of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
