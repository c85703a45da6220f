"""Hidden names of unfinished files and directories, and the removal of those that killed processes left.

A file is written as `.NAME.OWNER-PID-RANDOM.partial` beside its final name. On file systems that cannot swap two names
atomically, a directory that is being replaced is called `.NAME.OWNER-PID-RANDOM.replaced` between the two renames.
OWNER stands for the machine and its process namespace, so that files are removed only if their process is known to have
ended.
"""

import hashlib
import os
import platform
import re
import shutil
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Literal

from histoforge.core.progress import say

Suffix = Literal["partial", "replaced"]
SETTLED_SECONDS = 60.0
"""Age from which a replaced directory counts as abandoned if its owner cannot be looked up."""

_NAME = re.compile(r"\.(.+)\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.(partial|replaced)")
_FORMER_NAME = re.compile(r"\..*[0-9a-f]{8}\.partial")
"""Names from earlier versions, which do not identify their owner."""

_live: set[str] = set()
_cleared: set[Path] = set()
_reported: set[Path] = set()


def begin(path: Path, suffix: Suffix = "partial") -> Path:
    """Return a hidden name beside `path` that this process owns until it calls `end` with it."""
    unfinished = path.with_name(f".{path.name}.{_owner()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.{suffix}")
    _live.add(unfinished.name)
    return unfinished


def end(unfinished: Path) -> None:
    """Remove the file or directory under a name that `begin` returned, and release the name."""
    if unfinished.is_dir() and not unfinished.is_symlink():
        shutil.rmtree(unfinished, ignore_errors=True)
    else:
        unfinished.unlink(missing_ok=True)
    _live.discard(unfinished.name)


def is_unfinished(name: str) -> bool:
    """Return whether a name is that of an unfinished file or directory."""
    return bool(_NAME.fullmatch(name)) or (name.startswith(".") and name.endswith(".partial"))


def clear_once(folder: Path) -> None:
    """Call `clear` unless this process already did so for the same folder."""
    if folder not in _cleared:
        _cleared.add(folder)
        clear(folder)


def clear(folder: Path) -> None:
    """Remove the leftovers of killed processes, restore what they were replacing, and report the doubtful cases."""
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(".")]
    except OSError:
        return
    for name in sorted(names):
        path, match = folder / name, _NAME.fullmatch(name)
        if match is None:
            if _FORMER_NAME.fullmatch(name):
                _report_doubtful(path)
        elif not _is_running(match[2], int(match[3]), name):
            _settle(path, folder / match[1], match[4], of_this_machine=match[2] == _owner())


def restore(path: Path) -> None:
    """Restore a directory whose writer was killed while replacing it."""
    if not os.path.lexists(path) and path.parent.is_dir():
        clear(path.parent)


def _settle(path: Path, final: Path, suffix: str, of_this_machine: bool) -> None:
    """Restore or remove the leftovers of an ended process; those of another machine are never removed."""
    try:
        if suffix == "replaced" and not os.path.lexists(final):
            if of_this_machine or time.time() - path.stat().st_ctime > SETTLED_SECONDS:
                os.rename(path, final)
                say(f"{final} was being replaced when its writer was killed; the earlier one is restored.")
        elif not of_this_machine:
            _report_doubtful(path)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        say(f"{path} was left by a killed process and cannot be removed ({error.strerror}).")


def _report_doubtful(path: Path) -> None:
    if path in _reported:
        return
    _reported.add(path)
    say(f"{path} is unfinished, and its writer cannot be looked up from here: remove it if nothing is writing it.")


def _is_running(owner: str, pid: int, name: str) -> bool:
    if owner != _owner():
        return False
    if pid == os.getpid():
        return name in _live
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@cache
def _owner() -> str:
    """Return 8 digits that identify this machine and, on Linux, its process namespace."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:8]
