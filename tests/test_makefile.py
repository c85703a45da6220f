"""`make`: it says what it does, and touches no environment that it was not asked to."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("python", "ruff", "mypy", "lint-imports", "histoforge")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile, a lock file, and an environment `other/bin` whose tools write down their calls."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements.lock").write_text("one==1\ntwo==2\n")
    for name in ("pyproject.toml", "setup.py"):
        (folder / name).write_text("")
    tools(folder / "other" / "bin", folder / "calls")
    tools(folder / "system", folder / "system-calls")
    return folder


def tools(folder: Path, calls: Path) -> None:
    folder.mkdir(parents=True)
    for name in TOOLS:
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{calls}\n')
        (folder / name).chmod(0o755)


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", f"PYTHON={folder / 'system' / 'python'}", "UV=", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["lint", "test"])
def test_with_the_bin_of_another_environment_nothing_is_installed_anywhere(checkout, target):
    done = make(checkout, target, "BIN=other/bin")
    assert done.returncode == 0, done.stderr
    calls = (checkout / "calls").read_text()
    assert "ruff check" in calls or "pytest" in calls
    assert "pip" not in calls
    assert not (checkout / "system-calls").exists()
    assert not (checkout / ".venv").exists()


def test_a_bin_that_is_not_there_is_said(checkout):
    done = make(checkout, "lint", "BIN=nowhere/bin")
    assert done.returncode == 2
    assert "There is no environment at nowhere/bin" in done.stderr


def test_an_environment_older_than_the_lock_file_is_left_alone_and_said(checkout):
    tools(checkout / ".venv" / "bin", checkout / "calls")
    (checkout / ".venv" / ".installed").touch()
    os.utime(checkout / ".venv" / ".installed", (1, 1))
    done = make(checkout, "lint")
    assert done.returncode == 0, done.stderr
    assert "make install" in done.stderr
    assert "pip" not in (checkout / "calls").read_text()
    assert not (checkout / "system-calls").exists()


def test_install_says_what_it_installs_and_how_large_it_is(checkout):
    tools(checkout / ".venv" / "bin", checkout / "calls")
    done = make(checkout, "install")
    assert done.returncode == 0, done.stderr
    assert "Installing 2 packages of requirements.lock into .venv: about" in done.stdout
    assert "--quiet" not in (checkout / "calls").read_text()
    assert (checkout / ".venv" / ".installed").exists()


def test_make_alone_lists_every_target(checkout):
    targets = {"install", "demo", "test", "lint", "compile", "bench", "lock", "images", "push", "release", "e2e"}
    assert all(f"make {target} " in make(checkout).stdout for target in targets)
    assert make(checkout, "help").stdout == make(checkout).stdout
