"""Digests that an S3 server knows of its objects."""

import hashlib
import re
from collections.abc import Mapping


def expected_digest(etag: str, headers: Mapping[str, str] | None) -> tuple[str, str]:
    """Return an object's digest and its kind: the SHA-256 that `put` stored with it, an etag that is an MD5, or ''."""
    recorded = _recorded_sha256(headers)
    if not recorded and _etag_is_md5(etag, headers):
        return etag.lower(), "md5"
    return recorded, "sha256"


def _recorded_sha256(headers: Mapping[str, str] | None) -> str:
    values = {name.lower(): value for name, value in (headers or {}).items()}
    return str(values.get("x-amz-meta-sha256", "")).lower()


def _etag_is_md5(etag: str, headers: Mapping[str, str] | None) -> bool:
    """Return whether the etag is the MD5 of the content, which it is not for multipart or encrypted objects."""
    encrypted = any(name.lower().startswith("x-amz-server-side-encryption") for name in headers or {})
    return not encrypted and re.fullmatch(r"[0-9a-fA-F]{32}", etag) is not None


def new_hash(algorithm: str, content: bytes = b"") -> "hashlib._Hash":
    """Return a hash that compares content with an expected digest; it is not meant to resist an attacker."""
    return hashlib.new(algorithm, content, usedforsecurity=False)
