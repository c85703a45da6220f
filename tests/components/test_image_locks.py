"""Every layer of packages is locked by hash: torch of an index of its own, and what an image build installs."""

import functools
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

IMAGES = Path(__file__).resolve().parents[2] / "images"
VERSIONS = dict(line.split("==") for line in (IMAGES / "cpu" / "torch.in").read_text().split())


def write_wheel(index, name, version, content="x = 1\n"):
    """Write a wheel of one module and the page of its project into a package index; returns its SHA-256."""
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    file = f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / file, "w") as wheel:
        wheel.writestr(f"{name}.py", content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / "index.html").write_text(f'<a href="{file.replace("+", "%2B")}#sha256={digest}">{file}</a>')
    return digest


@pytest.fixture
def index(tmp_path):
    """A package index with builds for the processor, and its address."""
    folder = tmp_path / "index"
    digests = {name: write_wheel(folder, name, f"{version}+cpu") for name, version in VERSIONS.items()}
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}", digests
    server.shutdown()
    server.server_close()


def lock(address, out):
    uv = Path(sys.executable).with_name("uv")
    environment = {**os.environ, "UV_NO_CACHE": "1"}
    command = ["sh", str(IMAGES / "lock-torch.sh"), str(uv), address, str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_torch_is_locked_with_the_hashes_of_its_index(index, tmp_path):
    _, address, digests = index
    done = lock(address, tmp_path / "torch.lock")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "torch.lock").read_text()
    for name, version in VERSIONS.items():
        assert f"{name}=={version}+cpu" in text
        assert f"--hash=sha256:{digests[name]}" in text
    assert address not in text


def test_an_image_installs_by_hash_alone_and_reports_it(index, tmp_path):
    folder, address, _ = index
    assert lock(address, tmp_path / "torch.lock").returncode == 0
    small = write_wheel(folder, "small", "1.0")
    (tmp_path / "requirements.lock").write_text(f"small==1.0 \\\n    --hash=sha256:{small}\n")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)

    def install():
        command = ["sh", str(IMAGES / "install.sh"), str(tmp_path / "venv"), address]
        environment = {**os.environ, "PIP_INDEX_URL": address, "PIP_NO_CACHE_DIR": "1"}
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)

    done = install()
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads((tmp_path / "reports" / "requirements.json").read_text())["install"]
    assert entry["download_info"]["archive_info"]["hashes"]["sha256"] == small
    write_wheel(folder, "small", "1.0", content="x = 2  # another file under the same name\n")
    subprocess.run([str(tmp_path / "venv" / "bin" / "pip"), "uninstall", "-qy", "small"], check=True)
    done = install()
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_the_image_for_the_processor_says_how_to_lock_torch():
    makefile = IMAGES.parent / "Makefile"
    command = ["make", "--file", str(makefile), "--always-make", "images/cpu/torch.lock"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=IMAGES.parent)
    assert done.returncode == 2
    assert "make lock-cpu TORCH_INDEX=" in done.stderr
