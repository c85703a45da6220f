"""Several transfers at a time, with progress, until all are done or one has failed."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from histoforge.core.progress import Progress

WORKERS = 16
SHOWN_FROM = 128 << 20
MEGA = 1e6

Item = TypeVar("Item")


def in_parallel(label: str, items: Sequence[Item], transfer: Callable[[Item], None]) -> None:
    """Call `transfer` on each item; after the first failure none is begun, and that failure is raised."""
    with ThreadPoolExecutor(WORKERS) as pool, Progress(label, len(items), "files") as progress:
        running = [pool.submit(transfer, item) for item in items]
        try:
            for done in as_completed(running):
                done.result()
                progress.advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class Bytes:
    """The progress of one large file, in MB; of a small one, nothing is shown. Also what minio takes for `progress`."""

    def __init__(self, label: str, size: int) -> None:
        self._shown = Progress(label, round(size / MEGA), "MB") if size >= SHOWN_FROM else None
        self._done = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "Bytes":
        if self._shown is not None:
            self._shown.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._shown is not None:
            self._shown.__exit__(*error)

    def set_meta(self, object_name: str, total_length: int) -> None:
        """What minio says first; it is known already."""

    def update(self, length: int) -> None:
        """Count `length` bytes more."""
        with self._lock:
            self._done += length
            if self._shown is not None:
                self._shown.advance(round(self._done / MEGA) - self._shown.done)
