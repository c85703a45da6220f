"""Several transfers at a time, with progress, until all are done or one has failed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from histoforge.core.progress import Progress

WORKERS = 8

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
