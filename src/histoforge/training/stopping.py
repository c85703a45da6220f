"""Stop training on SIGTERM or Ctrl-C, after the current step and with a checkpoint."""

import os
import signal
from types import FrameType, TracebackType

from histoforge.core.signals import handled_signals
from histoforge.training import processes

HINT = b"\nCtrl-C: finishing the current step and writing a checkpoint; press Ctrl-C again to stop at once.\n"
NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}


class StopRequest:
    """Record SIGTERM and the first Ctrl-C inside a `with` block; a second Ctrl-C ends the process at once.

    This works only in the main thread. A process that ignores Ctrl-C (`nohup`, `&` in a script) continues to ignore it.

    Attributes:
        signum: the signal received, or 0.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._parent = os.getppid()
        self._handled = handled_signals(dict.fromkeys(NAMES, self._record))

    def __enter__(self) -> "StopRequest":
        self._handled.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._handled.__exit__(kind, error, at)

    @property
    def name(self) -> str:
        """Name of the signal in messages; a signal to another process counts as SIGTERM."""
        return NAMES[signal.Signals(self.signum or signal.SIGTERM)]

    @property
    def exit_code(self) -> int:
        """Exit code of the process."""
        return 128 + (self.signum or signal.SIGTERM)

    def _record(self, signum: int, frame: FrameType | None) -> None:
        first = self.signum == 0
        self.signum = self.signum or signum
        if signum != signal.SIGINT:
            return
        if processes.world_size() == 1:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        elif os.getppid() != self._parent:  # the launcher forwards a first Ctrl-C, which the terminal sent here too
            os._exit(self.exit_code)
        if first and processes.rank() == 0:
            os.write(2, HINT)
