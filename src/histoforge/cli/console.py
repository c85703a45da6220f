"""What a pipeline on this machine shows while it runs: the tasks' own lines; all the rest goes to a log file."""

import io
import logging
import re
import sys
import threading
import time
from pathlib import Path

from histoforge.steps.relay import parse

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"Executing task '([^']+)'")
_ENDED = re.compile(r"Task '([^']+)' finished with status (SUCCESS|FAILURE)")
_CACHED = re.compile(r"Task (\S+) cache hit")


class Console(io.TextIOBase):
    """Stands in for standard output while kfp runs a pipeline.

    Attributes:
        error: the sentence that a task ended with, or ''.
        failed: the tasks that failed.
        seconds: duration of each task that ran, by kfp's name of it.
        cached: tasks whose results were there already.
    """

    def __init__(self, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("a", encoding="utf-8")
        self._terminal = sys.stderr
        self._lock = threading.Lock()
        self._rest: dict[int, str] = {}
        self._began: dict[str, float] = {}
        self.error = ""
        self.failed: list[str] = []
        self.seconds: dict[str, float] = {}
        self.cached: list[str] = []

    def write(self, text: str) -> int:
        """Take what kfp or a task prints; two tasks at once are told apart by their threads."""
        with self._lock:
            thread = threading.get_ident()
            *lines, self._rest[thread] = (self._rest.get(thread, "") + text).split("\n")
            for line in lines:
                self._take(_COLOUR.sub("", line))
        return len(text)

    def flush(self) -> None:
        """Nothing waits: lines go on as they come."""

    def close(self) -> None:
        """Close the log file."""
        self._log.close()

    def show(self, text: str) -> None:
        """A line for whoever watches, and for the log."""
        self._terminal.write(f"{text}\n")  # not print(), which kfp replaces by one that comes back here
        self._terminal.flush()
        self._log.write(f"{text}\n")
        self._log.flush()

    def _take(self, line: str) -> None:
        said = parse(line)
        if said is None:
            self._log.write(f"{line}\n")
            self._log.flush()
            self._follow(line)
        elif said.kind == "error":
            self.error = said.text
            self._log.write(f"{said.task}: {said.text}\n")
        else:
            prefix = "" if said.text.startswith(said.task) else f"{said.task}: "
            self.show(f"{prefix}{said.text}")

    def _follow(self, line: str) -> None:
        if match := _STARTED.search(line):
            self._began[match.group(1)] = time.monotonic()
        elif match := _CACHED.search(line):
            self.cached.append(match.group(1))
            self.show(f"{match.group(1)}: done before")
        elif match := _ENDED.search(line):
            name, status = match.groups()
            self.seconds[name] = (
                self.seconds.get(name, 0.0) + time.monotonic() - self._began.get(name, time.monotonic())
            )
            if status == "FAILURE":
                self.failed.append(name)


class ToConsole(logging.Handler):
    """Hands log records on to a console: kfp says what it took from the cache by logging alone."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record on."""
        self.console.write(f"{record.getMessage()}\n")
