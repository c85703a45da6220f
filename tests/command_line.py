"""Run the command line in this process or in a separate one."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from histoforge.cli import main


class Ended(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ended:
    """Run `histoforge` with these arguments in this process, and return its exit code and output."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    output = capsys.readouterr()
    return Ended(int(ended.value.code or 0), output.out, output.err)


def program() -> Path:
    """Return the path of the installed command."""
    return Path(sys.executable).with_name("histoforge")


def run(*arguments: object, **options: object) -> Ended:
    """Run `histoforge` in a separate process, as a user does."""
    command = [str(program()), *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    return Ended(process.returncode, process.stdout, process.stderr)
