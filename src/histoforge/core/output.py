"""Standard output and standard error that show no secret and take every character."""

import io
import logging
import sys
import threading
from typing import Any, TextIO

from histoforge.core.secrets import scrub


class SafeStream(io.TextIOBase):
    """A text stream that passes on whole lines, scrubbed; what is not a whole line yet goes on when flushed.

    Characters that the stream's encoding lacks are written as escapes, so that an ASCII terminal or a file name that
    is not UTF-8 never ends a command.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._rest = ""
        self._lock = threading.RLock()  # a signal's handler may print while the main thread does

    def write(self, text: str) -> int:
        """Pass on the lines that are whole."""
        with self._lock:
            lines, end, self._rest = (self._rest + text).rpartition("\n")
            if end:
                self._pass_on(lines + end)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        with self._lock:
            rest, self._rest = self._rest, ""
            if rest:
                self._pass_on(rest)
            self.stream.flush()

    def isatty(self) -> bool:
        """Whether a person watches."""
        return self.stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's encoding."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    def fileno(self) -> int:
        """The stream's descriptor; what is written there directly is not scrubbed."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """Always."""
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _pass_on(self, text: str) -> None:
        text = scrub(text)
        self.stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))


def guard_output() -> None:
    """Put a `SafeStream` before this process's standard output and error, and before the log handlers that write there.

    Tracebacks and warnings of every thread and library go through `sys.stderr`, and are scrubbed with it.
    """
    plain = {id(stream): name for name in ("stdout", "stderr") if (stream := getattr(sys, name)) is not None}
    for name in plain.values():
        stream = getattr(sys, name)
        if not isinstance(stream, SafeStream):
            setattr(sys, name, SafeStream(stream))
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.getLogger().manager.loggerDict))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if isinstance(handler, logging.StreamHandler) and id(handler.stream) in plain:
            handler.setStream(getattr(sys, plain[id(handler.stream)]))
