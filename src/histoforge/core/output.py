"""Standard output and standard error streams that hide secrets and accept every character."""

import io
import logging
import sys
import threading
from typing import Any, TextIO

from histoforge.core.secrets import scrub


class SafeStream(io.TextIOBase):
    """A text stream that forwards complete lines with secrets removed; an incomplete line is forwarded on flush.

    Characters that the stream's encoding lacks are written as escapes, so that an ASCII terminal or a file name that
    is not UTF-8 never aborts a command.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._rest = ""
        self._lock = threading.RLock()  # a signal handler may print while the main thread does

    def write(self, text: str) -> int:
        """Forward the complete lines."""
        with self._lock:
            lines, end, self._rest = (self._rest + text).rpartition("\n")
            if end:
                self._pass_on(lines + end)
        return len(text)

    def flush(self) -> None:
        """Forward everything that was written."""
        with self._lock:
            incomplete_line, self._rest = self._rest, ""
            if incomplete_line:
                self._pass_on(incomplete_line)
            self.stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self.stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a settable attribute in TextIOBase
        """Encoding of the stream."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    def fileno(self) -> int:
        """Return the stream's file descriptor; text written to it directly is not scrubbed."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _pass_on(self, text: str) -> None:
        text = scrub(text)
        self.stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))


def guard_output() -> None:
    """Wrap this process's standard output and error, and the log handlers that write there, in a `SafeStream`.

    Tracebacks and warnings from every thread and library go through `sys.stderr`, so they are scrubbed too.
    """
    stream_names = {id(stream): name for name in ("stdout", "stderr") if (stream := getattr(sys, name)) is not None}
    for name in stream_names.values():
        stream = getattr(sys, name)
        if not isinstance(stream, SafeStream):
            setattr(sys, name, SafeStream(stream))
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.getLogger().manager.loggerDict))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if isinstance(handler, logging.StreamHandler) and id(handler.stream) in stream_names:
            handler.setStream(getattr(sys, stream_names[id(handler.stream)]))
