"""Image names of components: replaced, mirrored, pinned by digest; and the digests that a push records."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CUDA, SLIM = (f"sha256:{digit * 64}" for digit in "ab")
SHOW = "from histoforge_components.image import image_of; print(image_of('evaluate'), image_of('preprocess'))"
WRITE = """
import sys
from pathlib import Path
from histoforge_components.preprocess.component import preprocess
from histoforge_pipelines.compile import _compile, write_manifests
from histoforge_components.image import REGISTRY
out = Path(sys.argv[1])
_compile(preprocess, out / "component.yaml")
write_manifests(out, REGISTRY)
"""


def python(code, *arguments, **environment):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"], **environment}
    )


@pytest.fixture
def digests(tmp_path):
    path = tmp_path / "digests.json"
    path.write_text(json.dumps({"histoforge-cuda:0.1.0": CUDA, "histoforge-slim:0.1.0": SLIM}))
    return path


@pytest.mark.parametrize(
    ("environment", "cuda", "slim"),
    [
        ({}, "ghcr.io/histoforge/histoforge-cuda:0.1.0", "ghcr.io/histoforge/histoforge-slim:0.1.0"),
        ({"HISTOFORGE_REGISTRY": "r.io:50/x/"}, "r.io:50/x/histoforge-cuda:0.1.0", "r.io:50/x/histoforge-slim:0.1.0"),
        ({"HISTOFORGE_IMAGE": "m.io/all:1"}, "m.io/all:1", "m.io/all:1"),
        ({"HISTOFORGE_IMAGE_SLIM": "m.io/s:1"}, "ghcr.io/histoforge/histoforge-cuda:0.1.0", "m.io/s:1"),
        ({"HISTOFORGE_IMAGE": "m.io/all:1", "HISTOFORGE_IMAGE_CUDA": "m.io/cpu:1"}, "m.io/cpu:1", "m.io/all:1"),
    ],
)
def test_images_can_be_others(environment, cuda, slim):
    assert python(SHOW, **environment).stdout.split() == [cuda, slim]


def test_a_release_pins_its_images_in_every_registry(digests, tmp_path):
    environment = {"HISTOFORGE_IMAGE_DIGESTS": str(digests), "HISTOFORGE_REGISTRY": "r.example:5000/x"}
    expected = f"r.example:5000/x/histoforge-cuda@{CUDA} r.example:5000/x/histoforge-slim@{SLIM}"
    assert python(SHOW, **environment).stdout.strip() == expected
    done = python(WRITE, tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    texts = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.yaml")}
    assert f"image: r.example:5000/x/histoforge-slim@{SLIM}" in texts["component.yaml"]
    assert (
        f"image: r.example:5000/x/histoforge-slim@{SLIM}" in texts["manifests/components/monitoring/tensorboard.yaml"]
    )
    assert f"image: r.example:5000/x/histoforge-cuda@{CUDA}" in texts["manifests/components/trainer/runtime.yaml"]
    assert "image: r.example:5000/x/minio:" in texts["manifests/components/minio/minio.yaml"]


@pytest.mark.parametrize(
    ("content", "message"), [("{}", "has no digest of histoforge-cuda:0.1.0"), ("oh", "cannot be read")]
)
def test_a_file_without_the_digest_is_refused(content, message, tmp_path):
    path = tmp_path / "digests.json"
    path.write_text(content)
    done = python(SHOW, HISTOFORGE_IMAGE_DIGESTS=str(path))
    assert done.returncode != 0
    assert message in done.stderr.splitlines()[-1]


PODMAN = """#!/bin/sh
[ "$1" = push ] || exit 9
while [ $# -gt 1 ]; do [ "$1" = --digestfile ] && printf %s "$DIGEST" >"$2"; shift; done
"""
DOCKER = """#!/bin/sh
[ "$1 $2" = "push $IMAGE" ] && echo "0.1.0: digest: $DIGEST size: 1234"
"""


@pytest.mark.parametrize(("tool", "script"), [("podman", PODMAN), ("docker", DOCKER)])
def test_a_push_records_the_digest_and_keeps_the_others(tool, script, digests, tmp_path):
    container, image, digest = tmp_path / tool, "r.example:5000/x/histoforge-slim:0.1.0", f"sha256:{'c' * 64}"
    container.write_text(script)
    container.chmod(0o755)
    command = [
        sys.executable,
        str(ROOT / "images" / "push.py"),
        "--container",
        str(container),
        "--digests",
        str(digests),
    ]
    environment = {**os.environ, "DIGEST": digest, "IMAGE": image}
    subprocess.run([*command, image], check=True, capture_output=True, env=environment)
    assert json.loads(digests.read_text()) == {"histoforge-cuda:0.1.0": CUDA, "histoforge-slim:0.1.0": digest}
    failed = subprocess.run(
        [*command, image], capture_output=True, text=True, check=False, env={**environment, "DIGEST": ""}
    )
    assert failed.returncode == 1
    assert "gave no digest" in failed.stderr
