"""Progress of long work: a bar on a terminal, a line every few seconds in a pod or a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

LINE_EVERY_SECONDS = 5.0


class Progress:
    """Shows how far `total` units of work have come and how long the rest will take, on standard error.

    Within another one it counts and shows nothing: a person watches one thing at a time.

    >>> with Progress("tiling", total=12, unit="slides") as progress:
    ...     progress.advance(1, patches=180)

    Args:
        label: what is worked on.
        total: units of work.
        unit: what a unit is called.
        done: units that an earlier process has done; they do not count towards the speed.
    """

    _open: ClassVar[int] = 0

    def __init__(self, label: str, total: int, unit: str = "", done: int = 0) -> None:
        self.label, self.total, self.unit, self.done = label, total, unit, done
        self._done_before = done
        self._facts = ""
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
                TextColumn("{task.fields[facts]}"),
            )
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(self.label, total=self.total, completed=self.done, left="", facts="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        Progress._open -= 1
        if self._bar is not None:
            self._bar.stop()

    def seconds_left(self) -> float | None:
        """Return the expected time for the rest at the mean speed so far, or None before the first unit is done."""
        done = self.done - self._done_before
        return (time.monotonic() - self._start) / done * (self.total - self.done) if done else None

    def advance(self, units: int = 1, **facts: float | int | str) -> None:
        """Count `units` more as done, and show `facts` beside them, or else the facts of the call before."""
        self.done += units
        if self._inner:
            return
        if facts:
            self._facts = " ".join(f"{name} {_short(value)}" for name, value in facts.items())
        seconds = self.seconds_left()
        left = f"{duration(seconds)} left" if seconds else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, left=left, facts=self._facts)
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY_SECONDS or self.done >= self.total:
            self._last_line = now
            share = self.done / self.total if self.total else 1.0
            times = ", ".join(part for part in (f"{share:.0%}", f"{now - self._start:.0f} s", left) if part)
            say(f"{self.label}: {self.done}/{self.total} {self.unit} ({times}) {self._facts}".rstrip())


def track(items: Iterable[Any], label: str, total: int, unit: str = "") -> Iterator[Any]:
    """Iterate over `items` and show the progress."""
    with Progress(label, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def duration(seconds: float) -> str:
    """Return a duration in words, rounded: '40 s', '12 min', '3 h 20 min', '2 days 5 h'."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(round(seconds / 600) * 10, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def say(text: str) -> None:
    """One line for whoever watches, on standard error."""
    print(text, file=sys.stderr, flush=True)


def _short(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
