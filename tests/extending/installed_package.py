"""Install the example package of the docs, or a small one of a test, into a folder of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "histoforge-example"


def install(source: Path, folder: Path) -> Path:
    """Build and install a package, as pip does but without an index, and return the folder for `sys.path`."""
    copy, target = folder / "source", folder / "site"
    shutil.copytree(source, copy)
    uv = Path(sys.executable).with_name("uv")
    options = ["--quiet", "--offline", "--no-build-isolation", "--no-deps", "--python", sys.executable]
    subprocess.run([uv, "pip", "install", *options, "--target", target, copy], check=True)
    return target


def python_lines(package: Path) -> int:
    """Count the lines of the modules of a package that are not empty."""
    return sum(bool(line.strip()) for file in package.rglob("*.py") for line in file.read_text().splitlines())


def write_package(folder: Path, group: str, code: str, name: str = "entry") -> Path:
    """Write a package of one module, `broken`, whose entry point `name` is its attribute ENTRY."""
    folder.mkdir()
    (folder / "broken.py").write_text(code)
    (folder / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
        "[project]\nname = 'broken'\nversion = '2.0'\n"
        f"[project.entry-points.'{group}']\n{name} = 'broken:ENTRY'\n"
        "[tool.setuptools]\npy-modules = ['broken']\n"
    )
    return folder
