"""Write the bill of materials of an image: SPDX 2.3 as JSON, of its Python and its Debian packages.

The image build runs it inside the image. SHA-256 digests are those of the files that pip installed, by its reports.
https://spdx.github.io/spdx-spec/v2.3/
"""

import argparse
import json
import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

HOME = "https://github.com/histoforge/histoforge"
NONE = "NOASSERTION"


def document(name: str, version: str, revision: str, created: str, base: str, base_digest: str) -> dict[str, Any]:
    """Return the SPDX document of an image, listing only the image and its base so far."""
    image = _package("Image", name, version, f"pkg:oci/{name}?tag={quote(version)}", "CONTAINER")
    below = _package("Base", base, base_digest or NONE, "", "OPERATING-SYSTEM")
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{name}-{version}",
        "documentNamespace": f"{HOME}/spdx/{name}-{version}-{revision or 'unknown'}",
        "creationInfo": {"created": _utc(created), "creators": ["Organization: histoforge", "Tool: images/sbom.py"]},
        "packages": [image, below],
        "relationships": [
            _relationship("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image"),
            _relationship("SPDXRef-Image", "DESCENDANT_OF", "SPDXRef-Base"),
        ],
    }


def python_packages(installed: Iterable[Distribution], digests: dict[str, str]) -> list[dict[str, Any]]:
    """Return the SPDX packages of Python distributions.

    Args:
        installed: the distributions.
        digests: SHA-256 of the installed file by 'name==version', with the name normalised.
    """
    packages = {}
    for distribution in installed:
        name, version = _normal(distribution.metadata["Name"]), distribution.version
        package = _package(f"Python-{name}", name, version, f"pkg:pypi/{name}@{quote(version)}", "LIBRARY")
        licence = distribution.metadata.get("License-Expression") or ""
        package["licenseDeclared"] = licence if licence and "LicenseRef" not in licence else NONE
        if digest := digests.get(f"{name}=={version}"):
            package["checksums"] = [{"algorithm": "SHA256", "checksumValue": digest}]
        packages[package["SPDXID"]] = package
    return [packages[key] for key in sorted(packages)]


def debian_packages(listing: str) -> list[dict[str, Any]]:
    """Return the SPDX packages of Debian packages, from tab-separated lines of name, version and architecture."""
    packages = []
    for line in filter(None, listing.splitlines()):
        name, version, architecture = line.split("\t")
        url = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
        packages.append(_package(f"Debian-{name}-{architecture}", name, version, url, "LIBRARY"))
    return packages


def add(sbom: dict[str, Any], packages: Iterable[dict[str, Any]]) -> None:
    """Add packages that an image contains to its document."""
    for package in packages:
        sbom["packages"].append(package)
        sbom["relationships"].append(_relationship("SPDXRef-Image", "CONTAINS", package["SPDXID"]))


def digests_of(reports: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of every file that pip installed, by 'name==version', from pip's JSON reports."""
    digests = {}
    for path in reports:
        for item in json.loads(path.read_text(encoding="utf-8"))["install"]:
            metadata, archive = item["metadata"], item["download_info"].get("archive_info", {})
            hashes = archive.get("hashes") or dict([archive["hash"].split("=", 1)] if archive.get("hash") else [])
            if "sha256" in hashes:
                digests[f"{_normal(metadata['name'])}=={metadata['version']}"] = hashes["sha256"]
    return digests


def _package(key: str, name: str, version: str, url: str, purpose: str) -> dict[str, Any]:
    package = {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", key),
        "name": name,
        "versionInfo": version,
        "primaryPackagePurpose": purpose,
        "supplier": NONE,
        "downloadLocation": NONE,
        "filesAnalyzed": False,
        "licenseConcluded": NONE,
        "licenseDeclared": NONE,
        "copyrightText": NONE,
    }
    if url:
        package["externalRefs"] = [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}
        ]
    return package


def _relationship(element: str, kind: str, related: str) -> dict[str, str]:
    return {"spdxElementId": element, "relationshipType": kind, "relatedSpdxElement": related}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _utc(moment: str) -> str:
    """Convert an ISO 8601 time with an offset to the form that SPDX requires: UTC, to the second."""
    from datetime import UTC, datetime

    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> None:
    """Write the document of the image in which this script runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("name", "version", "revision", "created", "base", "base-digest"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--site", type=Path, action="append", default=[], help="folder of packages besides sys.path")
    parser.add_argument("--reports", type=Path, required=True, help="folder of pip's reports")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()

    sbom = document(given.name, given.version, given.revision, given.created, given.base, given.base_digest)
    add(sbom, python_packages(distributions(), digests_of(given.reports.glob("*.json"))))
    add(sbom, python_packages(distributions(path=list(map(str, given.site))), {}))
    listing = ["dpkg-query", "--show", "--showformat=${Package}\\t${Version}\\t${Architecture}\\n"]
    add(sbom, debian_packages(subprocess.run(listing, check=True, capture_output=True, text=True).stdout))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(sbom, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
