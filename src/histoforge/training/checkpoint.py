"""Complete and atomic checkpoints, optionally mirrored to a location for a retry on another node."""

import glob
import os
import re
from pathlib import Path
from typing import Any

from histoforge.core.digests import digest_file
from histoforge.core.errors import CheckpointError
from histoforge.core.files import explained_write_errors, sync
from histoforge.core.progress import say
from histoforge.core.timings import spent
from histoforge.core.unfinished import begin, clear, end
from histoforge.storage import Location, check_writable
from histoforge.training.state import load_state, save_state

_NAME = re.compile(r"checkpoint-(\d{10})-([0-9a-f]{16})\.safetensors")


class Checkpoints:
    """The newest checkpoint of one training run, in a directory and, if given, in a location.

    A file's name contains its step and the first 16 digits of its SHA-256, so that a damaged file is always detected. A
    new checkpoint is written beside the old one, synced and renamed; then the old one is deleted. The directory's name
    consists of a label and a digest of the run's identity. Other runs' checkpoints with the same label, both beside the
    directory and in `mirrors`, which contains the mirrors of all runs, are reported and kept.
    """

    def __init__(self, directory: Path, mirror: Location | None = None, mirrors: Location | None = None) -> None:
        self.directory, self.mirror, self._mirrors = Path(directory), mirror, mirrors

    def save(self, step: int, state: Any) -> None:
        """Write the checkpoint of `step`, then delete the older ones.

        Raises:
            StorageError: the disk is full or the location denies access; the older checkpoint is kept.
        """
        with explained_write_errors(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            temporary = begin(self.directory / "checkpoint")
            try:
                with spent("write") as work:
                    save_state(temporary, state)
                    work.bytes = temporary.stat().st_size
                sync(temporary)
                name = f"checkpoint-{step:010d}-{digest_file(temporary)[:16]}.safetensors"
                os.replace(temporary, self.directory / name)
                sync(self.directory)
            finally:
                end(temporary)
        if self.mirror is not None:
            self.mirror.put(self.directory / name, name)
        self._delete_all_but(name)

    def load(self) -> Any | None:
        """Return the state of the newest intact checkpoint, or None if there are no checkpoints.

        Raises:
            CheckpointError: there are checkpoints, and all are damaged.
            StorageError: the location of the mirror cannot be written to.
        """
        if self.mirror is not None:
            check_writable(self.mirror)
            self._fetch_newest(self.mirror)
        clear(self.directory)
        candidates = sorted(self._local(), reverse=True)
        for path in candidates:
            if digest_file(path).startswith(_digest(path.name)):
                return load_state(path)
            say(f"Skipping the damaged checkpoint {path}.")
        if candidates:
            raise CheckpointError(
                f"All checkpoints in {self.directory} are damaged: delete that folder to start again."
            )
        for other in self._of_other_trainings():
            say(f"Ignoring the checkpoint {other}, which is from another version, method, setting or data set.")
        return None

    def _of_other_trainings(self) -> list[str]:
        """Return the checkpoints of other training runs with the same label."""
        label = self.directory.name.rpartition("-")[0]
        beside = [str(path) for path in self.directory.parent.glob(f"{glob.escape(label)}-*/checkpoint-*")]
        if self._mirrors is not None:
            names = [entry.name for entry in self._mirrors.entries()]
            beside += [f"{self._mirrors}/{name}" for name in names if name.rpartition("/")[0].startswith(f"{label}-")]
        return [path for path in beside if _NAME.fullmatch(path.rpartition("/")[2])]

    def delete(self) -> None:
        """Delete the checkpoints once the model has been written."""
        self._delete_all_but("")
        if self.directory.is_dir() and not any(self.directory.iterdir()):
            self.directory.rmdir()

    def _local(self) -> list[Path]:
        return [path for path in self.directory.glob("checkpoint-*") if _NAME.fullmatch(path.name)]

    def _fetch_newest(self, mirror: Location) -> None:
        names = (entry.name for entry in mirror.entries() if _NAME.fullmatch(entry.name))
        for name in sorted(names, reverse=True):
            path = self.directory / name
            if not path.exists():
                self.directory.mkdir(parents=True, exist_ok=True)
                mirror.get(name, path)
            if digest_file(path).startswith(_digest(name)):
                return

    def _delete_all_but(self, name: str) -> None:
        for path in self._local():
            if path.name != name:
                path.unlink()
        if self.mirror is not None:
            for entry in self.mirror.entries():
                if _NAME.fullmatch(entry.name) and entry.name != name:
                    self.mirror.delete(entry.name)


def _digest(name: str) -> str:
    match = _NAME.fullmatch(name)
    return match.group(2) if match else ""
