"""The description of a patch set, and its files, verified as they are read."""

from pathlib import Path
from typing import Any

from histoforge.core.digests import digest_json
from histoforge.core.documents import parse_json, parse_model
from histoforge.core.errors import PatchSetError
from histoforge.core.settings import Settings
from histoforge.patches.chunks import damaged
from histoforge.storage import Location, open_location
from histoforge.storage.local import LocalLocation

SCHEMA_VERSION = 2
INFO_NAME = "patchset.json"


class PatchSetInfo(Settings):
    """Content of `patchset.json`.

    Attributes:
        classes: class names; a label is an index into this list.
        patch_size: height and width, px.
        mpp: micrometres per pixel of the patches, or None if it is unknown or mixed.
        counts: number of patches by split and class name.
        synthetic: whether a generator drew the patches.
        made_by: provenance: step, config, code version, source digests.
        files: SHA-256 of each file beside `patchset.json`.
        images_location: the location that keeps the chunks in place of the patch set's directory, each under its
            SHA-256; '' for the directory. It is not part of the digest: equal patches are equal wherever they are.
        digest: SHA-256 over all of the above except `images_location`; the patch set's identity.
    """

    schema_version: int
    classes: list[str]
    patch_size: tuple[int, int]
    mpp: float | None
    counts: dict[str, dict[str, int]]
    synthetic: bool
    made_by: dict[str, Any]
    files: dict[str, str]
    images_location: str = ""
    digest: str

    def compute_digest(self) -> str:
        """Compute the digest of this description."""
        return digest_json(self.model_dump(mode="json", exclude={"digest", "images_location"}))


def read_info(path: Path | str) -> PatchSetInfo:
    """Return the content of `patchset.json`, verified by its own digest, without reading the other files.

    Args:
        path: the directory of the set, or as text also a location.

    Raises:
        PatchSetError: the file is missing, damaged, or has a newer schema.
        StorageError: the location does not answer.
    """
    location = location_of(path)
    file, content = f"{location}/{INFO_NAME}", location.read(INFO_NAME)
    if content is None:
        raise PatchSetError(
            f"{path} is not a patch set (it has no {INFO_NAME}): name a folder that 'histoforge preprocess' made."
        )
    text = content[0]
    version = _schema_version(text)
    if version is not None and version > SCHEMA_VERSION:
        raise _newer(file, version)
    info = parse_model(PatchSetInfo, text, file, PatchSetError, "make the patch set again")
    if info.schema_version > SCHEMA_VERSION:
        raise _newer(file, info.schema_version)
    if info.digest != info.compute_digest():
        raise PatchSetError(
            f"{file} was changed after it was written (its digest does not match): make the patch set again."
        )
    return info


def _schema_version(text: bytes) -> int | None:
    try:
        return int(parse_json(text)["schema_version"])
    except (ValueError, KeyError, TypeError):
        return None


def _newer(file: str, version: int) -> PatchSetError:
    return PatchSetError(
        f"{file} has schema {version}, newer than {SCHEMA_VERSION}, which this version reads: upgrade histoforge."
    )


def read_verified(location: Location, info: PatchSetInfo, name: str) -> bytes:
    """Return the content of a file of the set.

    Raises:
        PatchSetError: the file is missing or damaged.
        KeyError: the description lacks the file.
    """
    expected = info.files[name]
    stored = location.read_hashed(name, expected)
    if stored is None:
        raise PatchSetError(f"The patch set {location} lacks {name}: make it again with 'histoforge preprocess'.")
    content, digest = stored
    if digest != expected:
        raise PatchSetError(damaged(f"{location}/{name}"))
    return content


def location_of(path: Path | str) -> Location:
    """Return the location of a patch set: a directory, or as text also a location such as 's3://bucket/patches'."""
    return open_location(path) if isinstance(path, str) else LocalLocation(path)
