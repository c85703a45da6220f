"""Start the tasks of kfp's local runner as forks of one process that has imported what most of them need.

kfp starts an interpreter for each task, which spends some three seconds on imports: longer than many a task takes.
"""

import itertools
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

PRELOADED = [
    "histoforge.cli",
    "kfp.dsl.executor_main",
    "torch",
    "torch._dynamo",  # which the first step of an optimiser imports
    "pandas",
    "scipy.stats",
    "sklearn.cluster",
    "matplotlib.axes",
]
_starting_or_ending = threading.Lock()
"""For tasks of a loop: a process that starts also asks for the exit codes of others, which can be read only once."""


@contextmanager
def forked_tasks() -> Iterator[None]:
    """Let the pipeline that runs in the block start its tasks as forks; on Linux, where such forks are safe.

    kfp itself starts the first one, which imports little, so that the large imports happen only if others follow.
    """
    if sys.platform != "linux":
        yield
        return
    from kfp.local import subprocess_task_handler

    run_subprocess = subprocess_task_handler.run_local_subprocess
    tasks = itertools.count()

    def run_task(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        return (_run_task if next(tasks) else run_subprocess)(full_command, env_vars)

    subprocess_task_handler.run_local_subprocess = run_task
    try:
        yield
    finally:
        subprocess_task_handler.run_local_subprocess = run_subprocess


def _run_task(full_command: list[str], env_vars: dict[str, str] | None) -> int:
    """Run the command of a component, print its output line by line, and return its exit code.

    Args:
        full_command: `sh -ec SCRIPT CODE ARGUMENTS…`, where SCRIPT starts kfp's executor on CODE with the ARGUMENTS.
        env_vars: environment variables besides those of this process.
    """
    _, _, _, code, *arguments = full_command
    context = _fork_server()
    output, end = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "ephemeral_component.py"
        module.write_text(code, encoding="utf-8")
        words = ["executor_main", "--component_module_path", str(module), *arguments]
        process = context.Process(target=_execute, args=(words, {**os.environ, **(env_vars or {})}, end))
        with _starting_or_ending:
            process.start()
        end.close()
        with open(output.fileno(), encoding="utf-8", errors="backslashreplace", closefd=False) as lines:
            for line in lines:
                print(line, end="")
        print("\n")
        with _starting_or_ending:
            process.join()
    return 1 if process.exitcode is None else process.exitcode


def _fork_server() -> ForkServerContext:
    """Return the context of processes that are forks of one server, which this call starts if it does not run."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    resource_tracker.ensure_running()  # the server starts it otherwise, which unblocks Ctrl-C
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which would end the server during its imports
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return context


def _execute(words: list[str], environment: Mapping[str, str], output: Connection) -> None:
    """Run kfp's executor in this process, which is a task's, and write to a pipe."""
    import torch
    from kfp.dsl.executor_main import executor_main
    from threadpoolctl import threadpool_limits

    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    output.close()
    os.environ.clear()
    os.environ.update(environment)
    if threads := int(environment.get("OMP_NUM_THREADS", 0)):  # which the libraries read when they were imported
        threadpool_limits(threads)
        torch.set_num_threads(threads)
    sys.argv = words
    executor_main()
