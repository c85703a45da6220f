"""Push images and record their digests: push.py --container podman --digests FILE [--flag=…] IMAGE:TAG …

The file is JSON, a digest by name and tag without the registry, as `HISTOFORGE_IMAGE_DIGESTS` takes it; entries of
other images stay.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def push(container: str, image: str, options: list[str]) -> str:
    """Push an image and return the digest of its manifest in the registry.

    Raises:
        CalledProcessError: the push failed.
        ValueError: the registry returned no digest.
    """
    if "podman" in Path(container).name:
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as file:
            subprocess.run([container, "push", *options, "--digestfile", file.name, image], check=True)
            answer = Path(file.name).read_text(encoding="utf-8")
    else:
        done = subprocess.run([container, "push", *options, image], check=True, stdout=subprocess.PIPE, text=True)
        answer = done.stdout
        print(answer)
    printed = re.findall(r"sha256:[0-9a-f]{64}", answer)
    if not printed:
        raise ValueError(f"{container} gave no digest of {image}: its version is too old, or the push failed.")
    return printed[-1]


def record(path: Path, digests: dict[str, str]) -> None:
    """Add digests to the file, replacing it only when the new one is complete."""
    former = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps({**former, **digests}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(fresh, path)


def main() -> None:
    """Push all images named on the command line and record their digests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--container", required=True, help="podman or docker")
    parser.add_argument("--digests", type=Path, required=True, help="JSON file to add the digests to")
    parser.add_argument("--flag", action="append", default=[], help="given to the push as it is")
    parser.add_argument("images", nargs="+", help="registry/name:tag")
    given = parser.parse_args()
    for image in given.images:
        try:
            digest = push(given.container, image, given.flag)
        except (subprocess.CalledProcessError, ValueError) as error:
            sys.exit(f"{image} was not pushed ({error}).")
        record(given.digests, {image.rpartition("/")[2]: digest})
        print(f"{image}@{digest}")


if __name__ == "__main__":
    main()
