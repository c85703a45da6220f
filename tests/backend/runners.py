"""Ways to run the command of a task's pod: in this process, or as processes of the installed wheel."""

import contextlib
import io
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from unittest import mock

from backend.installation import MOUNT_PREFIXES, Installation
from backend.launcher import PodDeleted


class InProcess:
    """Runs kfp's executor in this process: quick, since nothing is imported twice."""

    def prefix(self, pod: Path) -> str:
        """Return the pod's folder, which the executor is made to take for the root."""
        return str(pod)

    def run(self, image: str, command: Sequence[str], environment: Mapping[str, str], pod: Path, log: Path) -> int:
        """Run what the component's shell command would: the executor's module, on a file with the component's code."""
        from kfp.dsl.types import artifact_types

        shell, option, script, code, *arguments = command
        assert (shell, option) == ("sh", "-ec")
        assert "python3 -m kfp.dsl.executor_main" in script
        program = pod / "tmp" / "ephemeral_component.py"
        program.write_text(code, encoding="utf-8")
        argv = ["executor_main", "--component_module_path", str(program), *arguments]
        constants = {name: f"{pod}{value}" for name, value in MOUNT_PREFIXES.items()}
        paths = list(sys.path)
        with (
            log.open("w", encoding="utf-8") as text,
            contextlib.redirect_stdout(text),
            contextlib.redirect_stderr(text),
            mock.patch.multiple(artifact_types, **constants),
            mock.patch.dict(os.environ, {**environment, "_KFP_RUNTIME": "true"}),
            mock.patch.object(sys, "argv", argv),
            mock.patch.object(sys, "path", paths),
        ):
            return _status(lambda: runpy.run_module("kfp.dsl.executor_main", run_name="__main__"))


class Processes:
    """Runs the component's own command with the `python3` of an installation, as the launcher does.

    Attributes:
        kill_when: given the log so far, whether the pod is to be deleted now; each `True` deletes one.
    """

    def __init__(self, installation: Installation, kill_when: Callable[[str], bool] = lambda _: False) -> None:
        self.installation, self.kill_when = installation, kill_when

    def prefix(self, pod: Path) -> str:
        """Return the pod's folder, which `sitecustomize` of the installation makes the executor take for the root."""
        return str(pod)

    def run(self, image: str, command: Sequence[str], environment: Mapping[str, str], pod: Path, log: Path) -> int:
        """Run the command as a group of processes of its own; a deleted pod is a group that was killed."""
        variables = {
            **self.installation.environment,
            **environment,
            "HISTOFORGE_TEST_POD": str(pod),
            "TMPDIR": str(pod / "tmp"),
        }
        with log.open("wb") as text:
            process = subprocess.Popen(
                command, cwd=pod / "tmp", env=variables, stdout=text, stderr=text, start_new_session=True
            )
            while True:
                try:
                    return process.wait(timeout=0.1)
                except subprocess.TimeoutExpired:
                    if self.kill_when(log.read_text(encoding="utf-8", errors="replace")):
                        os.killpg(process.pid, signal.SIGKILL)
                        process.wait()
                        raise PodDeleted from None


def _status(call: Callable[[], object]) -> int:
    """The exit status of a Python program that `call` runs, its traceback printed as the interpreter prints it."""
    import traceback

    try:
        call()
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception:
        traceback.print_exc(file=sys.stderr if isinstance(sys.stderr, io.TextIOBase) else None)
        return 1
    return 0
