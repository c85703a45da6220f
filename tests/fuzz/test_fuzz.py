"""Damaged files and unusual values: a command ends well, or with one sentence and code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("hypothesis", reason="hypothesis is not installed (the extra 'dev')")
FOLDER = Path(__file__).parent
ENDS_AFTER_SECONDS = 1800


def test_every_command_ends_well_or_with_one_sentence(tmp_path: Path) -> None:
    """Run the cases in a separate process, because a case may hang, use up the memory, or crash the process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HISTOFORGE_FUZZ": "1"}
    for name in list(environment):
        if name.startswith(("AWS_", "MINIO_", "HISTOFORGE_S3", "PYTEST_")):
            del environment[name]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--capture=sys",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "--basetemp",
            str(tmp_path / "cases"),
            str(FOLDER / "fuzz_cases.py"),
        ],
        cwd=FOLDER.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDS_AFTER_SECONDS,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-4000:]}"
