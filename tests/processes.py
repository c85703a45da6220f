"""Real processes for tests that kill or change them, forked from a server that has imported large libraries once."""

import itertools
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(  # once for all tests, as a process has one such server
    ["kfp.compiler", "matplotlib.axes", "pandas", "scipy.stats", "sklearn.cluster", "torch._dynamo", "minio"]
)


@dataclass
class Ended:
    """How a process ended: its exit code (negative for a signal) and what it wrote to standard error."""

    code: int
    stderr: str


def run_process(log: Path, function: Callable[..., object], *arguments: object) -> Ended:
    """Run `function` in a process of its own, one that a signal can kill, and wait for its end.

    It has the environment of this process, and not that of the test which happened to start the server.

    Args:
        log: a file to write the process's standard error to.
        function: a function at a module's top level.
        arguments: what to call it with.
    """
    process = CONTEXT.Process(target=_redirected, args=(log, dict(os.environ), function, *arguments))
    process.start()
    process.join()
    assert process.exitcode is not None
    return Ended(process.exitcode, log.read_text())


def kill_at_call(owner: Any, name: str, call: int) -> None:
    """Replace a function of a module or class by one that kills this process in place of a call; 0 for none of them.

    Args:
        owner: the module or class.
        name: the function's name.
        call: number of the call, counted from 1.
    """
    function, calls = getattr(owner, name), itertools.count(1)

    def counted(*arguments: Any, **options: Any) -> Any:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    setattr(owner, name, counted)


def run_ranks(folder: Path, world: int, function: Callable[..., object], *arguments: object) -> None:
    """Run `function` in `world` processes as torch.distributed.run starts them, and check that all succeed.

    Args:
        folder: a folder for the processes' standard errors.
        world: the number of processes; their rank is in the environment variable RANK.
        function: a function at a module's top level.
        arguments: what to call it with.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    codes = {}

    def run(rank: int) -> None:
        variables = {"RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        codes[rank] = run_process(folder / f"stderr-{rank}", _in_environment, variables, function, *arguments).code

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == dict.fromkeys(range(world), 0)


def _in_environment(variables: dict[str, object], function: Callable[..., object], *arguments: object) -> None:
    os.environ.update({name: str(value) for name, value in variables.items()})
    function(*arguments)


def _redirected(log: Path, environment: dict[str, str], function: Callable[..., object], *arguments: object) -> None:
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 2)
    # where the server was started, Ctrl-C may have been ignored, or blocked as the local runner does
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    function(*arguments)
