"""Progress of long-running work: a bar on a terminal, or a line every few seconds in a pod or a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from histoforge.core.text import duration

LINE_EVERY_SECONDS = 5.0


class Progress:
    """Show on standard error how much of the work is done and how long the rest will take.

    A nested instance counts but shows nothing, so that only one bar is visible at a time.

    >>> with Progress("tiling", total=12, unit="slides") as progress:
    ...     progress.advance(1, patches=180)

    Args:
        label: name of the work.
        total: number of units of work.
        unit: name of a unit.
        done: units that an earlier process completed; they do not count towards the speed.
    """

    _open: ClassVar[int] = 0

    def __init__(self, label: str, total: int, unit: str = "", done: int = 0) -> None:
        self.label, self.total, self.unit, self.done = label, total, unit, done
        self._done_before = done
        self._values = ""
        self._start = self._last_line = time.monotonic()
        self._bar: Any = None
        self._inner = False

    def __enter__(self) -> "Progress":
        self._inner = Progress._open > 0
        Progress._open += 1
        if sys.stderr.isatty() and not self._inner:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
                TextColumn("{task.fields[values]}"),
            )
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(self.label, total=self.total, completed=self.done, left="", values="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        Progress._open -= 1
        if self._bar is not None:
            self._bar.stop()

    def seconds_left(self) -> float | None:
        """Return the expected remaining time at the mean speed so far, or None before the first unit is done."""
        done = self.done - self._done_before
        return (time.monotonic() - self._start) / done * (self.total - self.done) if done else None

    def advance(self, units: int = 1, **values: float | int | str) -> None:
        """Count `units` more as done, and show `values`, or those of the previous call if there are none."""
        self.done += units
        if self._inner:
            return
        if values:
            self._values = " ".join(f"{name} {_short(value)}" for name, value in values.items())
        seconds = self.seconds_left()
        left = f"{duration(seconds)} left" if seconds else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, left=left, values=self._values)
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY_SECONDS or self.done >= self.total:
            self._last_line = now
            share = self.done / self.total if self.total else 1.0
            times = ", ".join(filter(None, (f"{share:.0%}", f"{now - self._start:.0f} s", left)))
            say(f"{self.label}: {self.done}/{self.total} {self.unit} ({times}) {self._values}".rstrip())


def track(items: Iterable[Any], label: str, total: int, unit: str = "") -> Iterator[Any]:
    """Iterate over `items` and show progress."""
    with Progress(label, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def say(text: str) -> None:
    """Print one line to standard error."""
    print(text, file=sys.stderr, flush=True)


def _short(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
