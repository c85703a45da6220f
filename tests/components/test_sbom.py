"""The bill of materials of an image: valid SPDX 2.3 of what is installed, with the digests that pip recorded."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

SCRIPT = Path(__file__).resolve().parents[2] / "images" / "sbom.py"
SHA = "5" * 64
REPORT = {
    "install": [
        {
            "metadata": {"name": "NumPy", "version": version("numpy")},
            "download_info": {"archive_info": {"hash": f"sha256={SHA}", "hashes": {"sha256": SHA}}},
        }
    ]
}


@pytest.fixture(scope="module")
def sbom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sbom")
    (folder / "reports").mkdir()
    (folder / "reports" / "requirements.json").write_text(json.dumps(REPORT))
    (folder / "dpkg-query").write_text(
        "#!/bin/sh\nprintf 'libc6\\t2.36-9+deb12u13\\tamd64\\nlibstdc++6\\t12.2\\tamd64\\n'\n"
    )
    (folder / "dpkg-query").chmod(0o755)
    out = folder / "sbom.spdx.json"
    command = [
        sys.executable,
        str(SCRIPT),
        "--name",
        "histoforge-slim",
        "--version",
        "0.1.0",
        "--revision",
        "abc",
        "--created",
        "2026-11-21T14:00:00+02:00",
        "--base",
        "python:3.11",
        "--base-digest",
        "sha256:1",
        "--reports",
        str(folder / "reports"),
        "--out",
        str(out),
    ]
    subprocess.run(command, check=True, env={"PATH": f"{folder}:/usr/bin:/bin"})
    return out


def test_it_is_valid_spdx(sbom):
    document = parse_file(str(sbom))
    assert [message.validation_message for message in validate_full_spdx_document(document)] == []
    assert document.creation_info.spdx_version == "SPDX-2.3"
    assert document.creation_info.created.isoformat() == "2026-11-21T12:00:00"


def test_it_lists_what_is_installed_with_the_recorded_digests(sbom):
    packages = {package["name"]: package for package in json.loads(sbom.read_text())["packages"]}
    assert packages["numpy"]["versionInfo"] == version("numpy")
    assert packages["numpy"]["checksums"] == [{"algorithm": "SHA256", "checksumValue": SHA}]
    assert "checksums" not in packages["pandas"]
    assert {"kfp", "pydantic", "histoforge"} <= set(packages)
    (reference,) = packages["libstdc++6"]["externalRefs"]
    assert reference["referenceLocator"] == "pkg:deb/debian/libstdc%2B%2B6@12.2?arch=amd64"
    assert not re.search(r"https?://(?!github.com/histoforge)", sbom.read_text())
