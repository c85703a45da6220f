"""The image itself: who runs in it, what it may write, what is not in it."""

import json
import subprocess

import pytest
from containers import engine


@pytest.fixture(scope="module")
def described(image):
    done = subprocess.run([engine(), "image", "inspect", image], capture_output=True, check=True, text=True)
    return json.loads(done.stdout)[0]


def run(image, *command, user="12345:0"):
    hardened = ["--read-only", "--tmpfs", "/tmp", "--network", "none", "--user", user, "--cap-drop", "all"]
    whole = [engine(), "run", "--rm", *hardened, image, *command]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


def test_it_runs_as_a_numeric_user_that_is_not_root(described):
    user = described["Config"]["User"].split(":")[0]
    assert user.isdigit()
    assert int(user) > 0


def test_nothing_hides_the_command_that_kfp_gives(described):
    assert not described["Config"].get("Entrypoint")


def test_its_labels_say_version_revision_and_licence(described):
    from histoforge import __version__

    labels = described["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


@pytest.mark.parametrize("user", ["12345:0", "65532:65532"])
def test_any_user_id_works_on_a_read_only_root_without_a_network(image, user):
    done = run(image, "histoforge", "--version", user=user)
    assert done.returncode == 0, done.stderr


def test_a_phantom_is_drawn_cut_and_opened_by_a_user_it_does_not_know(image):
    script = (
        "histoforge phantom --out /tmp/s --patients 4 --size-px 512 && "
        "histoforge preprocess --source /tmp/s --out /tmp/p --preset demo --set split_ratios=1:1:1 "
        "--set max_failed_slides=1.0 && histoforge inspect /tmp/p/patches"
    )
    done = run(image, "sh", "-c", script)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "patches" in done.stdout


def test_neither_compiler_nor_package_cache_came_along(image):
    found = run(image, "sh", "-c", "command -v gcc cc c++ make git uv; ls -A /root/.cache /tmp/.cache 2>/dev/null")
    assert found.stdout.strip() == ""
