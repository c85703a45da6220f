"""Progress of long work: a bar on a terminal, a line every few seconds in a pod or a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

LINE_EVERY_SECONDS = 5.0


class Progress:
    """Shows how far `total` units of work have come, on standard error.

    Within another one it counts and shows nothing: a person watches one thing at a time.

    >>> with Progress("tiling", total=12, unit="slides") as progress:
    ...     progress.advance(1, patches=180)
    """

    _open: ClassVar[int] = 0

    def __init__(self, label: str, total: int, unit: str = "") -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self._start = self._last_line = time.monotonic()
        self._bar: Any = None
        self._inner = False

    def __enter__(self) -> "Progress":
        self._inner = Progress._open > 0
        Progress._open += 1
        if sys.stderr.isatty() and not self._inner:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[facts]}"),
            )
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(self.label, total=self.total, facts="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        Progress._open -= 1
        if self._bar is not None:
            self._bar.stop()

    def advance(self, units: int = 1, **facts: float | int | str) -> None:
        """Count `units` more as done, and show `facts` beside them."""
        self.done += units
        if self._inner:
            return
        shown = " ".join(f"{name} {_short(value)}" for name, value in facts.items())
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, facts=shown)
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY_SECONDS or self.done >= self.total:
            self._last_line = now
            share = self.done / self.total if self.total else 1.0
            state = f"{self.done}/{self.total} {self.unit} ({share:.0%}, {now - self._start:.0f} s)"
            say(f"{self.label}: {state} {shown}".rstrip())


def track(items: Iterable[Any], label: str, total: int, unit: str = "") -> Iterator[Any]:
    """Iterate over `items` and show the progress."""
    with Progress(label, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def say(text: str) -> None:
    """One line for whoever watches, on standard error."""
    print(text, file=sys.stderr, flush=True)


def _short(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
