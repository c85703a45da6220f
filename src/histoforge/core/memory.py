"""The memory that this process may use."""

import os
from contextlib import suppress
from pathlib import Path

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files with the limit of a container, of version 2 and version 1 of control groups."""


def memory_limit() -> int:
    """Return the memory of the machine in bytes, or the limit of the container if that is lower."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in LIMITS:
        with suppress(OSError, ValueError):  # there is no such file, or it says 'max'
            limits.append(int(file.read_text()))
    return min(limits)
