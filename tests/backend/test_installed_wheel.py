"""The installed wheel, as an image has it, holds all code and data that components and pipelines need."""

import re

import pytest
from backend.installation import ROOT

NAMES = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))
FILES = sorted(path.relative_to(ROOT / "components") for path in (ROOT / "components").glob("*/*.yaml"))


def test_the_code_is_that_of_the_wheel(installed, tmp_path):
    code = "import histoforge, histoforge_components, histoforge_pipelines as p; print(p.__file__, histoforge.__file__)"
    done = installed.run("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(path.startswith(str(installed.prefix)) for path in done.stdout.split()), done.stdout


def test_every_component_can_be_imported(installed, tmp_path):
    imports = "\n".join(f"from histoforge_components.{name}.component import {name}" for name in NAMES)
    done = installed.run("-c", imports, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_compiling_gives_the_committed_files(installed, tmp_path):
    done = installed.run("-m", "histoforge_pipelines.compile", "--out", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = done.stdout.split()
    assert {f"components/{name}/component.yaml" for name in NAMES} <= set(written)
    for name in written:
        assert without_sdk(tmp_path / name) == without_sdk(ROOT / name), name


def without_sdk(path):
    """A file's text without the version of kfp that compiled it."""
    return re.sub(r"sdkVersion: kfp-\S+", "", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_without_the_repository_a_folder_must_be_named(installed, tmp_path, arguments):
    done = installed.run("-m", "histoforge_pipelines.compile", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("say where to write, with --out FOLDER.")


def test_the_files_beside_the_code_are_there(installed):
    (package,) = installed.prefix.glob("lib/python*/site-packages/histoforge_components")
    for path in (*FILES, "interfaces.json"):
        assert (package / path).read_bytes() == (ROOT / "components" / path).read_bytes(), path
