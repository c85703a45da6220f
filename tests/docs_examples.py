"""Examples in docs/extending.md, for tests that run them as they are printed."""

import os
import re
import sys
import tempfile
import textwrap
from pathlib import Path

from processes import run_process

TESTS = Path(__file__).resolve().parent
DOCS = TESTS.parent / "docs" / "extending.md"


def write_example(heading: str, folder: Path) -> str:
    """Write the modules of a section's example below `folder`; return the last code block, which is the registration.

    The first line of a module is its path in the package, such as '# selection/uncertain.py'.
    """
    section = DOCS.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    *modules, registration = (textwrap.dedent(code) for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    for module in modules:
        path = folder / module.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(module)
    return registration.strip()


def run_python(code: str) -> str:
    """Run code in another process, which finds the helper modules of the tests; return its standard output."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        done = run_process(Path(folder) / "errors", _execute, code, output)
        assert done.code == 0, done.stderr[-3000:]
        return output.read_text()


def _execute(code: str, output: Path) -> None:
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
    sys.path[:0] = [str(TESTS), str(TESTS / "steps")]
    exec(compile(code, "<example>", "exec"), {"__name__": "__main__"})


CALL = """
from histoforge.cli import main

def call(*arguments):
    try:
        main(list(map(str, arguments)))
    except SystemExit as ended:
        assert not ended.code, (arguments, ended.code)
"""
"""Code that defines `call(*arguments)`, the command line inside the process."""
