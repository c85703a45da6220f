"""Pipelines as a backend runs them (docs/backend.md), every task in a hardened container of the image that it names."""

import json
from importlib import import_module

import docker
import pytest
from backend.launcher import TaskFailed
from backend.workflow import Pipeline, Run
from containers import HARDENED
from kfp.compiler import Compiler
from tiny_study import SETTINGS, write_images

MOUNTS = ("gcs", "minio", "s3")


class Containers:
    """Runs the command of a pod in a container with the pod's folders where the launcher has its mounts."""

    def __init__(self, network, environment):
        self.network, self.environment = network, environment

    def prefix(self, pod):
        """Return '': the mounts are at the root."""
        return ""

    def run(self, image, command, environment, pod, log):
        """Run the command; its files belong to a user that this machine does not know."""
        for path in (pod, *pod.rglob("*"), *pod.parents[:4]):
            path.chmod(0o777 if path.is_dir() else 0o644)
        container = docker.from_env().containers.run(
            image,
            list(command),
            detach=True,
            volumes={str(pod / name): {"bind": f"/{name}", "mode": "rw"} for name in MOUNTS},
            environment={**environment, **self.environment, "OMP_NUM_THREADS": "1"},
            network_mode=self.network[0],
            **HARDENED,
        )
        try:
            status = int(container.wait()["StatusCode"])
            log.write_bytes(container.logs())
        finally:
            container.remove(force=True)
        return status


@pytest.fixture(scope="module")
def source(s3, tmp_path_factory):
    """The source in a bucket."""
    s3.bucket("backend-slides")
    images = write_images(tmp_path_factory.mktemp("images"))
    for path in sorted(images.rglob("*.png")):
        s3.store("backend-slides", f"study/{path.relative_to(images)}", path.read_bytes())
    return "s3://backend-slides/study"


@pytest.fixture(scope="module")
def start(network, environment, tmp_path_factory):
    """Runs a pipeline, compiled for the images under test."""
    folder = tmp_path_factory.mktemp("backend")

    def run(name, arguments):
        path = folder / f"{name}.yaml"
        Compiler().compile(getattr(import_module(f"histoforge_pipelines.{name}"), name), str(path))
        pods = tmp_path_factory.mktemp("pods")
        return Run(Pipeline.load(path), Containers(network, environment), pods, folder / "objects").start(arguments)

    return run


def test_a_study_ends_with_its_report(start, source):
    run = start("selective_augmentation", {"source": source, "preset": "", "overrides": SETTINGS})
    arms = json.loads(run.stored("metrics").read_text(encoding="utf-8"))["arms"]
    controls = {"control", "control_0_5"}
    assert set(arms) == {"baseline", "traditional", "gan", "single_filter", "selective"} | controls
    assert run.stored("report").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


def test_retraining_ends_early_without_news(start, source, s3):
    for bucket in ("backend-state", "backend-models"):
        s3.bucket(bucket)
    places = {"state": "s3://backend-state", "models": "s3://backend-models"}
    arguments = {"source": source, "preset": "", "overrides": SETTINGS, **places}
    first = start("retraining", arguments)
    assert {attempt.status for attempt in first.launcher.attempts} == {0}
    assert s3.left_in("backend-state"), "whatever the gate decided"
    (published,) = (task.outputs["Output"] for task in first.store.executions if "publication" in task.output_artifacts)
    assert published is bool(s3.left_in("backend-models"))
    second = start("retraining", arguments)
    assert len(second.launcher.attempts) == 2, "the scan, and the look for news"


def test_a_user_error_is_the_last_line_of_its_task_and_2(start):
    with pytest.raises(TaskFailed) as failed:
        start("selective_augmentation", {"source": "s3://backend-slides/nowhere", "preset": "", "overrides": SETTINGS})
    assert failed.value.status == 2
    assert "s3://backend-slides/nowhere" in failed.value.log.strip().splitlines()[-1]
