"""The output of a pipeline that runs on this machine: the tasks' own lines are shown, the rest goes to a log file."""

import contextlib
import io
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from histoforge.core.output import SafeStream
from histoforge.tasks.task_log import parse
from histoforge.tasks.usage import Usage

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"Executing task '([^']+)'")
_ENDED = re.compile(r"Task '([^']+)' finished with status (SUCCESS|FAILURE)")
_CACHED = re.compile(r"Task (\S+) cache hit")


class Console(io.TextIOBase):
    """Replace standard output while kfp runs a pipeline.

    Args:
        log: the file that gets every line.
        titles: titles of tasks that print nothing themselves, by kfp's names.

    Attributes:
        stopped: True once the tasks were told to stop.
        error: the sentence with which a task ended, or ''.
        failed: the tasks that failed.
        seconds: duration of each task that ran, including its start.
        cached: tasks whose results already existed.
        usage: time and memory of each successful task, in the order in which they ended.
    """

    def __init__(self, log: Path, titles: Mapping[str, str] | None = None) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._file = log.open("a", encoding="utf-8", errors="backslashreplace")
        self._log = SafeStream(self._file)
        self._terminal = sys.stderr
        self._lock = threading.Lock()
        self._rest: dict[int, str] = {}
        self._began: dict[int, float] = {}
        self._task: dict[int, str] = {}
        self._titles = titles or {}
        self._processes: dict[int, int] = {}
        self.stopped = False
        self.error = ""
        self.failed: list[str] = []
        self.seconds: dict[str, float] = {}
        self.cached: list[str] = []
        self.usage: list[tuple[str, Usage]] = []

    def write(self, text: str) -> int:
        """Take the output of kfp or a task; tasks that run at once are distinguished by their threads."""
        with self._lock:
            thread = threading.get_ident()
            *lines, self._rest[thread] = (self._rest.get(thread, "") + text).split("\n")
            for line in lines:
                self._take(_COLOUR.sub("", line), thread)
        return len(text)

    def flush(self) -> None:
        """Do nothing, because lines are passed on immediately."""

    def close(self) -> None:
        """Close the log file."""
        self._log.flush()
        self._file.close()

    def show(self, text: str) -> None:
        """Show a line to the user, and log it."""
        self._terminal.write(f"{text}\n")  # not print(), which kfp replaces with one that calls back here
        self._terminal.flush()
        self._log.write(f"{text}\n")
        self._log.flush()

    def stop_tasks(self) -> None:
        """Tell running tasks, and those that start from now on, to stop; safe in a signal handler."""
        self.stopped = True
        for process in list(self._processes.values()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)

    def _take(self, line: str, thread: int) -> None:
        said = parse(line)
        if said is None:
            self._log.write(f"{line}\n")
            self._log.flush()
            self._follow(line, thread)
            return
        self._task[thread] = said.task
        if said.kind == "started":
            self._processes[thread] = int(said.text)
            if self.stopped:
                self.stop_tasks()
        elif said.kind == "error":
            self.error = said.text
            self._log.write(f"{said.task}: {said.text}\n")
        elif said.kind == "usage":
            usage = Usage.model_validate_json(said.text)
            self.usage.append((said.task, usage))
            self.show(f"{said.task}: done in {usage.sentence()}")
        else:
            self.show(said.text if said.text.startswith(said.task) else f"{said.task}: {said.text}")

    def _follow(self, line: str, thread: int) -> None:
        if match := _STARTED.search(line):
            self._began[thread] = time.monotonic()
            self._task[thread] = self._title(match.group(1))
        elif match := _CACHED.search(line):
            self.cached.append(self._title(match.group(1)))
            self.show(f"{self.cached[-1]}: done before")
        elif (match := _ENDED.search(line)) and thread in self._began:
            name = self._task[thread]
            self._processes.pop(thread, None)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - self._began.pop(thread)
            if match.group(2) == "FAILURE":
                self.failed.append(name)

    def _title(self, name: str) -> str:
        return self._titles.get(name, name)


class ToConsole(logging.Handler):
    """Pass log records on to a console, because kfp reports tasks served from the cache only by logging."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        self.console.write(f"{record.getMessage()}\n")
