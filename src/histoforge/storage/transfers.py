"""Parallel transfers with progress, which stop at the first failure."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from histoforge.core.progress import Progress

WORKERS = 16
SHOWN_FROM = 128 << 20

Item = TypeVar("Item")


def in_parallel(label: str, items: Sequence[Item], transfer: Callable[[Item], None]) -> None:
    """Call `transfer` on each item; after the first failure, start no more and raise that failure."""
    with ThreadPoolExecutor(WORKERS) as pool, Progress(label, len(items), "files") as progress:
        running = [pool.submit(transfer, item) for item in items]
        try:
            for done in as_completed(running):
                done.result()
                progress.advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class ByteProgress:
    """Progress of one large file, in MB; small files show none. minio accepts an instance as its `progress`."""

    def __init__(self, label: str, size: int) -> None:
        self._progress = Progress(label, round(size / 1e6), "MB") if size >= SHOWN_FROM else None
        self._done = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "ByteProgress":
        if self._progress is not None:
            self._progress.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.__exit__(*error)

    def set_meta(self, object_name: str, total_length: int) -> None:
        """Ignore minio's first call, which repeats known values."""

    def update(self, length: int) -> None:
        """Count `length` more bytes."""
        with self._lock:
            self._done += length
            if self._progress is not None:
                self._progress.advance(round(self._done / 1e6) - self._progress.done)
