"""Mark the lines of a task for the command line that runs the pipeline on this machine.

kfp's local runner mixes the output of tasks with its own log. A task that finds `HISTOFORGE_RUN` set marks its lines on
standard error, so that `histoforge run` can recognise them, their task, and the line that gives its final error.
"""

import os
import re
import signal
import sys
import threading
import time
from typing import NamedTuple, TextIO

RUN = "HISTOFORGE_RUN"
"""The process id of the command line, set in the environment of its tasks."""

_MARK, _END = "\x1e", "\x1f"
_LINE = re.compile(f"{_MARK}([a-z]+){_END}([^{_END}]*){_END}(.*)")


class Line(NamedTuple):
    """A line of a task.

    Attributes:
        kind: 'started' with the process id; 'progress'; 'usage' for time and memory as JSON; or 'error' for
            the sentence with which a task ends.
        task: the task that wrote it.
        text: its content.
    """

    kind: str
    task: str
    text: str


class TaskLog:
    """Standard error of a task, with each whole line marked; lines of other libraries pass through unmarked."""

    def __init__(self, task: str, stream: TextIO) -> None:
        self.task, self.stream = task, stream
        self._rest = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Mark and pass on complete lines."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self.stream.write(f"{_MARK}progress{_END}{self.task}{_END}{line}\n" if line.strip() else "\n")
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Return False: a task writes lines, not bars."""
        return False

    def write_start(self) -> None:
        """Write the id of the task's process, so that the command line can stop it."""
        self._write("started", str(os.getpid()))

    def write_usage(self, usage: str) -> None:
        """Write the task's time and memory, as JSON."""
        self._write("usage", usage)

    def write_error(self, sentence: str) -> None:
        """Write the reason why the task ends."""
        self._write("error", sentence)

    def _write(self, kind: str, text: str) -> None:
        self.stream.write(f"{_MARK}{kind}{_END}{self.task}{_END}{text}\n")
        self.stream.flush()


def parse(text: str) -> Line | None:
    """Return the task's line in `text`, or None if there is none."""
    match = _LINE.search(text)
    return Line(*match.groups()) if match else None


def start_task_log(task: str) -> TaskLog | None:
    """Mark this process's standard error for the `histoforge run` that started it, and end when that ends.

    Returns None if no `histoforge run` started it, as in a pod.
    """
    if not os.environ.get(RUN, "").isdigit():
        return None
    log = TaskLog(task, sys.stderr)
    sys.stderr = log
    log.write_start()
    threading.Thread(target=_end_with, args=(int(os.environ[RUN]),), daemon=True).start()
    return log


def _end_with(process: int) -> None:
    while True:
        time.sleep(1)
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            os.kill(os.getpid(), signal.SIGTERM)
            return
