"""Exit codes of processes stopped by SIGTERM or Ctrl-C, and handlers of these signals for the length of a block."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C."""

TERMINATED = 128 + signal.SIGTERM
"""Exit code after SIGTERM."""

Handler = Callable[[int, FrameType | None], object]


@contextmanager
def handled_signals(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Handle signals inside the block, and restore their previous handlers afterwards.

    This works only in the main thread, and has no effect in any other. A process that ignores Ctrl-C (`nohup`, `&` in a
    script) continues to ignore it.

    Args:
        handlers: functions by signal number; they get the number and the interrupted frame.
    """
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for signum, handler in handlers.items():
            if signum != signal.SIGINT or signal.getsignal(signum) != signal.SIG_IGN:
                previous[signum] = signal.signal(signum, handler)
    try:
        yield
    finally:
        for signum, former in previous.items():
            signal.signal(signum, former)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM inside the block, so that its clean-up runs as after Ctrl-C."""
    with handled_signals({signal.SIGTERM: _interrupt}):
        yield


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
