"""Handle Ctrl-C while a pipeline runs on this machine: its trainings write a checkpoint, and then the command ends."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from histoforge.cli.run.console import Console
from histoforge.core.signals import handled_signals

HINT = (
    b"\nCtrl-C: a training finishes its step and writes a checkpoint; type the same command again to go on from there, "
    b"or Ctrl-C again to end at once.\n"
)


@contextmanager
def stopped_by_ctrl_c(console: Console) -> Iterator[None]:
    """Make the first Ctrl-C inside the block stop the tasks of a console, and a second one end this process at once."""

    def stop(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.write(2, HINT)
        console.stop_tasks()

    with handled_signals({signal.SIGINT: stop}):
        yield
