"""Where the time of a process goes: seconds, bytes and patches of each phase of its work.

Code that reads, decodes, moves, computes or writes says so where it does it, and nothing is handed around:

>>> with spent("read", patches=len(rows)) as work:
...     images = reader.read(rows)
...     work.bytes += images.nbytes

A phase inside another one interrupts it, so that no second of a thread counts twice. Threads count one by one: with
several at work, the phases together may take longer than the clock shows.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

Phase = Literal["read", "decode", "transfer", "compute", "write"]
PHASES: dict[Phase, str] = {
    "read": "files and objects of a store, with the verification of their digests",
    "decode": "pixels of slides and images",
    "transfer": "batches made on the device, and results brought back from it",
    "compute": "networks and comparisons of patches: training, drawing, scores, metrics",
    "write": "files and objects of a store",
}


@dataclass
class Work:
    """The work in a phase: seconds of all threads, bytes that went through it, and patches."""

    seconds: float = 0.0
    bytes: int = 0
    patches: int = 0

    def add(self, other: "Work") -> None:
        """Add other work."""
        self.seconds += other.seconds
        self.bytes += other.bytes
        self.patches += other.patches


_work: dict[Phase, Work] = {}
_lock = threading.Lock()
_thread = threading.local()


@contextmanager
def spent(phase: Phase, *, size: int = 0, patches: int = 0) -> Iterator[Work]:
    """Count the block as time of a phase.

    Args:
        phase: the phase.
        size: bytes that go through it, if they are known before the block.
        patches: patches that go through it.

    Yields:
        The work of the block, to which it may add bytes and patches.
    """
    work = Work(0.0, size, patches)
    outer = getattr(_thread, "seconds_inside", 0.0)
    _thread.seconds_inside = 0.0
    began = time.perf_counter()
    try:
        yield work
    finally:
        seconds = time.perf_counter() - began
        work.seconds = seconds - _thread.seconds_inside
        _thread.seconds_inside = outer + seconds
        add_work({phase: work})


def add_work(work: Mapping[Phase, Work]) -> None:
    """Add work, such as that of another process."""
    with _lock:
        for phase, added in work.items():
            _work.setdefault(phase, Work()).add(added)


def work_so_far() -> dict[Phase, Work]:
    """Return the work of this process since its start or the last `forget_work`, in the order of `PHASES`."""
    with _lock:
        return {phase: replace(_work[phase]) for phase in PHASES if phase in _work}


def forget_work() -> None:
    """Start to count anew."""
    with _lock:
        _work.clear()
