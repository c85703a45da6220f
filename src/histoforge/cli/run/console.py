"""The output of a pipeline that runs on this machine: lines of its tasks are shown, the rest goes to a log file."""

import contextlib
import io
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from histoforge.core.errors import StorageError
from histoforge.core.output import SafeStream
from histoforge.core.signals import handled_signals
from histoforge.tasks.task_log import parse
from histoforge.tasks.timings_file import TaskUsage, named_usage, write_timings
from histoforge.tasks.usage import Usage

HINT = (
    b"\nCtrl-C: a training finishes its step and writes a checkpoint; run the same command again to resume from it, "
    b"or press Ctrl-C again to stop at once.\n"
)
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
        error: the error message of a task, or ''.
        failed: the tasks that failed.
        seconds: duration of each task that ran, including its start.
        cached: tasks whose results already existed.
        usage: time, phases and memory of each successful task, in the order of their ends.
    """

    def __init__(self, log: Path, titles: Mapping[str, str] | None = None) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._folder = log.parent
        self._file = log.open("a", encoding="utf-8", errors="backslashreplace")
        self._log = SafeStream(self._file)
        self._terminal = sys.stderr
        self._lock = threading.Lock()
        self._rest: dict[int, str] = {}
        self._began: dict[int, float] = {}
        self._task: dict[int, str] = {}
        self._title_of: dict[int, str] = {}
        self._titles = titles or {}
        self._processes: dict[int, int] = {}
        self.stopped = False
        self.error = ""
        self.failed: list[str] = []
        self.seconds: dict[str, float] = {}
        self.cached: list[str] = []
        self.usage: list[TaskUsage] = []

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
        message = parse(line)
        if message is None:
            self._log.write(f"{line}\n")
            self._log.flush()
            self._read_progress(line, thread)
            return
        self._task[thread] = message.task
        if message.kind == "started":
            self._processes[thread] = int(message.text)
            if self.stopped:
                self.stop_tasks()
        elif message.kind == "error":
            self.error = message.text
            self._log.write(f"{message.task}: {message.text}\n")
        elif message.kind == "usage":
            usage = Usage.model_validate_json(message.text)
            self.usage.append(named_usage(message.task, self._title_of.get(thread, message.task), usage))
            with contextlib.suppress(StorageError):  # of a full disk, which the next task will report
                write_timings(self._folder, self.usage)
            self.show(f"{message.task}: done in {usage.sentence()}")
        else:
            self.show(message.text if message.text.startswith(message.task) else f"{message.task}: {message.text}")

    def _read_progress(self, line: str, thread: int) -> None:
        if match := _STARTED.search(line):
            self._began[thread] = time.monotonic()
            self._task[thread] = self._title_of[thread] = self._title(match.group(1))
        elif match := _CACHED.search(line):
            self.cached.append(self._title(match.group(1)))
            self.show(f"{self.cached[-1]}: result reused")
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


@contextlib.contextmanager
def stopped_by_ctrl_c(console: Console) -> Iterator[None]:
    """Make the first Ctrl-C inside the block stop the tasks of a console, and a second one end this process at once."""

    def stop(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.write(2, HINT)
        console.stop_tasks()

    with handled_signals({signal.SIGINT: stop}):
        yield


def usage_table(seconds: Mapping[str, float], usage: Sequence[TaskUsage]) -> list[str]:
    """Return the lines of a table of time and peak memory.

    Args:
        seconds: duration of each task including its start, by name; the sum if several share a name.
        usage: usage of tasks; times under one name are added, and the highest peak counts.
    """
    lines = [f"  {'task':<32} {'seconds':>9} {'CPU s':>9} {'memory, GiB':>12} {'GPU, GiB':>9}"]
    for name, duration in seconds.items():
        used = [entry for entry in usage if entry.task == name]
        processor = sum(entry.cpu_seconds for entry in used)
        memory = max((entry.peak_memory_gib for entry in used), default=0.0)
        gpu = max((entry.peak_gpu_reserved_gib or 0.0 for entry in used), default=0.0)
        shown = f"{gpu:.2f}" if gpu else "-"
        lines.append(f"  {name:<32} {duration:9.1f} {processor:9.1f} {memory:12.2f} {shown:>9}")
    return lines
