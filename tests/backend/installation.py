"""The project as a container image has it: a wheel, installed where nothing of the checkout can be imported."""

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "src", "components", "pipelines")
"""Files that images/Dockerfile copies before it installs."""

MOUNT_PREFIXES = {
    "_GCS_LOCAL_MOUNT_PREFIX": "/gcs/",
    "_MINIO_LOCAL_MOUNT_PREFIX": "/minio/",
    "_S3_LOCAL_MOUNT_PREFIX": "/s3/",
}
"""Constants of kfp.dsl.types.artifact_types: where the launcher's mounts are in a pod."""

SITECUSTOMIZE = f"""
import os

if root := os.environ.get("HISTOFORGE_TEST_POD"):
    from kfp.dsl.types import artifact_types

    for name, value in {MOUNT_PREFIXES!r}.items():
        setattr(artifact_types, name, root + value)
"""
"""Lets a folder stand for the root of a pod."""


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the installed wheel.

    Attributes:
        prefix: folder of the environment.
        environment: environment variables for processes that use it as their `python3`.
    """

    prefix: Path
    environment: dict[str, str]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.prefix / "bin" / "python3"

    def run(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run its interpreter in the folder `cwd`."""
        command = [str(self.python), *arguments]
        return subprocess.run(command, cwd=cwd, env=self.environment, capture_output=True, text=True, check=False)


def install_wheel(folder: Path) -> Installation:
    """Build a wheel from a copy of the sources and install it, both without a network.

    The packages it depends on are those of the running interpreter. Their folder is put on the path by a plain line,
    so that the `.pth` file of an editable install there has no effect: only the wheel provides the project.

    Raises:
        RuntimeError: the build or the installation failed.
    """
    sources, prefix = folder / "sources", folder / "installed"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    sources.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, sources / name)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(sources))
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    (packages,) = prefix.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    (packages / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    python = str(prefix / "bin" / "python3")
    _pip("--python", python, "install", "--no-deps", "--no-index", "--ignore-installed", "--no-compile", str(wheel))
    environment = {"PATH": f"{prefix / 'bin'}:{os.defpath}", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    return Installation(prefix, environment)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
