"""Every pipeline on the real image: one container per task, hardened, without a network but for the S3 server."""

import io
import json
import socket
from importlib import import_module

import docker
import pytest
from containers import HARDENED, honest_docker_runner
from kfp import local
from PIL import Image, ImageOps
from tiny_study import LEADERBOARD, SETTINGS, write_images

from histoforge.cli.kubeflow.check.tiny import ARGUMENTS
from histoforge.cli.run.kfp_loops import corrected_loops


@pytest.fixture(scope="module")
def source(s3, tmp_path_factory):
    """The source in a bucket."""
    s3.bucket("slides")
    s3.bucket("checkpoints")
    images = write_images(tmp_path_factory.mktemp("images"))
    for path in sorted(images.rglob("*.png")):
        s3.store("slides", f"study/{path.relative_to(images)}", path.read_bytes())
        s3.store("slides", f"synthetic/{path.relative_to(images)}", mirrored(path))
    return "s3://slides/study"


def mirrored(path):
    """The PNG of an image mirrored left to right, in place of a synthetic one."""
    png = io.BytesIO()
    ImageOps.mirror(Image.open(path)).save(png, "PNG")
    return png.getvalue()


@pytest.fixture
def in_containers(network, environment, tmp_path):
    """kfp's local runner on hardened containers; yields what they logged."""
    root = tmp_path / "artifacts"
    root.mkdir()
    for folder in (root, *list(tmp_path.parents)[:2]):
        folder.chmod(0o777)  # a user id that nobody knows writes here
    local.init(local.DockerRunner(network_mode=network[0], **HARDENED), pipeline_root=str(root))
    log: list[str] = []
    with honest_docker_runner({**environment, "OMP_NUM_THREADS": "1"}, log), corrected_loops():
        yield log


PIPELINES = {
    "selective_augmentation": {"overrides": SETTINGS, "folds": 2},
    "augmentation_study": {"overrides": SETTINGS, "ratios": [0.5], "pool_multiples": [2.0], "fractions": [0.5]},
    "judge": {"overrides": SETTINGS, "synthetic": ["s3://slides/synthetic"]},
    "rleo": {"overrides": LEADERBOARD, "methods": ["rleo:literal"], "generator_seeds": 1},
    "generator_benchmark": {"overrides": LEADERBOARD, "methods": ["dcgan"], "generator_seeds": 1},
    "unified": ARGUMENTS["unified"],
    "pathup": ARGUMENTS["pathup"],
}


def pipeline(name):
    """A pipeline as it runs on one machine."""
    from histoforge.cli.run.runner import _prepare

    found = getattr(import_module(f"histoforge_pipelines.{name}"), name)
    _prepare(found.pipeline_spec, 0, 1)
    return found


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_ends_with_its_report(name, source, s3, in_containers):
    arguments = {"source": source, "preset": "", "checkpoints": f"s3://checkpoints/{name}", **PIPELINES[name]}
    run = pipeline(name)(**arguments)
    with open(run.outputs["report"].path, encoding="utf-8") as page:
        assert "<html" in page.read(200)
    with open(run.outputs["metrics"].path, encoding="utf-8") as results:
        assert json.load(results)["answer"]["headline"]
    assert s3.left_in("checkpoints") == []


def test_retraining_publishes_behind_the_gate_and_ends_early_without_news(source, s3, in_containers):
    for bucket in ("state", "models"):
        s3.bucket(bucket)
    arguments = {"source": source, "preset": "", "overrides": SETTINGS, "state": "s3://state", "models": "s3://models"}
    pipeline("retraining")(**arguments)
    assert s3.left_in("state")
    assert any("champion" in line or "published" in line for line in in_containers[-2].splitlines())
    tasks = len(in_containers)
    pipeline("retraining")(**arguments)
    assert len(in_containers) - tasks == 2, "the scan, and the look for news"


def test_a_task_that_must_fail_does(source, in_containers):
    with pytest.raises(RuntimeError):
        pipeline("selective_augmentation")(source="s3://slides/nothing-here", preset="", overrides=SETTINGS)
    last = in_containers[-1].strip().splitlines()[-1]
    assert "s3://slides/nothing-here" in last


def test_a_container_reaches_the_s3_server_and_nothing_else(image, network, s3):
    client = docker.from_env()
    script = (
        "import socket, sys\n"
        "def reaches(host, port):\n"
        "    try: socket.create_connection((host, port), timeout=2).close()\n"
        "    except OSError: return False\n"
        "    return True\n"
        f"print(*(reaches(host, {s3.port}) for host in {[network[1], '127.0.0.1', elsewhere()]}))"
    )
    answer = client.containers.run(image, ["python3", "-c", script], network_mode=network[0], remove=True)
    assert answer.decode().split() == ["True", "False", "False"]


def elsewhere():
    """Another address of this machine, which its network would lead to."""
    return socket.gethostbyname(socket.gethostname())
