"""The command line in this process and in one of its own."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from histoforge.cli import main


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ended:
    """Run `histoforge` with these arguments in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    output = capsys.readouterr()
    return Ended(int(ended.value.code or 0), output.out, output.err)


def program() -> Path:
    """The installed command."""
    return Path(sys.executable).with_name("histoforge")


def run(*arguments: object, **options: object) -> Ended:
    """Run `histoforge` as a user does."""
    command = [str(program()), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    return Ended(done.returncode, done.stdout, done.stderr)
