"""The images themselves: who runs in them, what they may write, what is not in them."""

import json
import subprocess
from pathlib import Path

import pytest
from containers import engine
from slim_tasks_inputs import write_inputs
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

ROOT = Path(__file__).resolve().parents[2]
SBOM = "/usr/share/histoforge/sbom.spdx.json"


@pytest.fixture(scope="module", params=["cuda", "slim"])
def any_image(request, image):
    return image if request.param == "cuda" else request.getfixturevalue("slim_image")


@pytest.fixture(scope="module")
def described(any_image):
    done = subprocess.run([engine(), "image", "inspect", any_image], capture_output=True, check=True, text=True)
    return json.loads(done.stdout)[0]


def run(image, *command, user="12345:0", options=()):
    hardened = ["--read-only", "--tmpfs", "/tmp", "--network", "none", "--user", user, "--cap-drop", "all"]
    whole = [engine(), "run", "--rm", *hardened, *options, image, *command]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


def test_it_runs_as_a_numeric_user_that_is_not_root(described):
    user = described["Config"]["User"].split(":")[0]
    assert user.isdigit()
    assert int(user) > 0


def test_nothing_hides_the_command_that_kfp_gives(described):
    assert not described["Config"].get("Entrypoint")


def test_its_labels_say_where_it_is_from(described):
    from histoforge import __version__

    labels = described["Config"]["Labels"]
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}version"] == __version__
    assert len(labels[f"{prefix}revision"]) == 40
    assert labels[f"{prefix}licenses"] == "Apache-2.0"
    assert labels[f"{prefix}source"].startswith("https://")
    assert labels[f"{prefix}created"].startswith("20")
    assert labels[f"{prefix}base.name"]
    assert labels[f"{prefix}base.digest"].startswith("sha256:")
    assert labels["io.github.histoforge.lock.digest"].startswith("sha256:")
    assert labels["io.github.histoforge.sbom"] == SBOM


def test_its_bill_of_materials_is_valid_and_has_a_digest_of_every_locked_package(any_image, tmp_path):
    path = tmp_path / "sbom.spdx.json"
    path.write_text(run(any_image, "cat", SBOM).stdout)
    assert validate_full_spdx_document(parse_file(str(path))) == []
    packages = json.loads(path.read_text())["packages"]
    python = {package["name"]: package for package in packages if package["SPDXID"].startswith("SPDXRef-Python-")}
    assert {name for name, package in python.items() if "checksums" not in package} == {"pip", "histoforge"}
    assert ("torch" in python) == any_image.rpartition("/")[2].startswith("histoforge-cuda")
    assert any(package["name"] == "libc6" for package in packages)


def test_every_task_of_the_slim_image_runs_in_it_without_torch(slim_image, tmp_path):
    from histoforge.steps.table import STEPS
    from histoforge.tasks.table import TASKS

    found = run(slim_image, "python3", "-c", "from importlib.util import find_spec; print(find_spec('torch'))")
    assert found.stdout == "None\n"
    write_inputs(tmp_path)
    for path in (tmp_path, *tmp_path.rglob("*"), *list(tmp_path.parents)[:2]):
        path.chmod(0o777)
    mounts = [f"--volume={tmp_path}:/inputs", f"--volume={ROOT}:/repository:ro"]
    script, lock = "/repository/tests/components/slim_tasks.py", "/repository/images/slim/requirements.lock"
    done = run(slim_image, "python3", script, lock, "/inputs", options=mounts)
    assert done.returncode == 0, done.stderr[-3000:]
    slim = sorted(entry.name for entry in (*STEPS.values(), *TASKS.values()) if not entry.torch)
    assert json.loads(done.stdout.splitlines()[-1]) == {"ran": slim, "torch": False}


@pytest.mark.parametrize("user", ["12345:0", "65532:65532"])
def test_any_user_id_works_on_a_read_only_root_without_a_network(any_image, user):
    done = run(any_image, "histoforge", "--version", user=user)
    assert done.returncode == 0, done.stderr


def test_a_phantom_is_drawn_cut_and_opened_by_a_user_it_does_not_know(any_image):
    script = (
        "histoforge phantom --out /tmp/s --patients 4 --size-px 512 && "
        "histoforge preprocess --source /tmp/s --out /tmp/p --preset demo --set split_ratios=1:1:1 "
        "--set max_failed_slides=1.0 && histoforge inspect /tmp/p/patches"
    )
    done = run(any_image, "sh", "-c", script)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "patches" in done.stdout


def test_neither_compiler_nor_package_cache_came_along(any_image):
    found = run(any_image, "sh", "-c", "command -v gcc cc c++ make git uv; ls -A /root/.cache /tmp/.cache 2>/dev/null")
    assert found.stdout.strip() == ""
