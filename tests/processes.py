"""Real processes for tests that kill them, forked from a server that has imported torch once."""

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["histoforge.training.engine", "torch.utils.tensorboard", "torch._dynamo"])


@dataclass
class Ended:
    """How a process ended: its exit code (negative for a signal) and what it wrote to standard error."""

    code: int
    stderr: str


def run_process(log: Path, function: Callable[..., object], *arguments: object) -> Ended:
    """Run `function` in a process of its own, one that a signal can kill, and wait for its end.

    Args:
        log: a file to write the process's standard error to.
        function: a function at a module's top level.
        arguments: what to call it with.
    """
    process = _CONTEXT.Process(target=_redirected, args=(log, function, *arguments))
    process.start()
    process.join()
    assert process.exitcode is not None
    return Ended(process.exitcode, log.read_text())


def _redirected(log: Path, function: Callable[..., object], *arguments: object) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 2)
    function(*arguments)
