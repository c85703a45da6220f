"""Images that are finished, kept until all are, so that an interrupted drawing goes on from the last one."""

import hashlib
import re
from pathlib import Path

import numpy as np
from PIL import Image

from histoforge.core.digests import digest_file
from histoforge.core.errors import StorageError
from histoforge.core.files import atomic_file
from histoforge.core.progress import say
from histoforge.core.unfinished import clear
from histoforge.patches.images import Pixels, encode_png
from histoforge.storage import Location, check_writable

_NAME = re.compile(r"image-(.+)-([0-9a-f]{16})\.png")


class FinishedImages:
    """Lossless images in a folder and, if given, in a location.

    A file's name contains the image's and the first 16 digits of its SHA-256, so that a damaged file is always
    detected.

    Args:
        folder: their folder, which need not exist.
        mirror: a location to copy them to, for a retry on another machine.

    Raises:
        StorageError: the location cannot be written to.
    """

    def __init__(self, folder: Path, mirror: Location | None = None) -> None:
        self.folder, self._mirror = folder, mirror
        if mirror is not None:
            check_writable(mirror)
            for entry in mirror.entries():
                if _NAME.fullmatch(entry.name) and not (folder / entry.name).exists():
                    mirror.get(entry.name, folder / entry.name)
        if folder.is_dir():
            clear(folder)

    def find(self, name: str) -> Path | None:
        """Return the intact file of an image, or None if it is not finished."""
        for path in sorted(self.folder.glob("image-*.png")):
            match = _NAME.fullmatch(path.name)
            if match is not None and match[1] == name:
                if digest_file(path).startswith(match[2]):
                    return path
                say(f"Skipping the damaged image {path}.")
        return None

    def load(self, name: str) -> Pixels:
        """Return a finished image, uint8 [H, W, 3].

        Raises:
            StorageError: its file has vanished or been damaged since it was finished.
        """
        path = self.find(name)
        if path is None:
            raise StorageError(f"The image {name} has vanished from {self.folder}: run the same command again.")
        return np.array(Image.open(path))

    def save(self, name: str, image: Pixels) -> None:
        """Keep a finished image, uint8 [H, W, 3].

        Raises:
            StorageError: the disk is full, or the location denies access.
        """
        encoded = encode_png(image)
        path = self.folder / f"image-{name}-{hashlib.sha256(encoded).hexdigest()[:16]}.png"
        with atomic_file(path) as temporary:
            temporary.write_bytes(encoded)
        if self._mirror is not None:
            self._mirror.put(path, path.name)

    def delete(self) -> None:
        """Delete all finished images, here and in the location."""
        for path in self.folder.glob("image-*.png"):
            path.unlink()
        if self._mirror is not None:
            for entry in self._mirror.entries():
                if _NAME.fullmatch(entry.name):
                    self._mirror.delete(entry.name)
