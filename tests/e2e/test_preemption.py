"""A training pod that is killed in the middle: its retry on another node ends with the same weights."""

import time

import docker
import numpy as np
import pytest
from containers import HARDENED

from histoforge.patches import PatchSetWriter

SETTINGS = {
    "z_dim": 8,
    "up_blocks": 2,
    "stages": 2,
    "base_channels": 32,
    "min_channels": 16,
    "residual_blocks": 1,
    "critic_channels": 16,
    "critic_max_channels": 32,
    "minibatch_kernels": 4,
    "minibatch_dims": 4,
    "batch_size": 8,
    "precision": "float32",
    "epochs": 4,
    "epoch_steps": 100,
    "checkpoint_every": 20,
}


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "patches"
    noise = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 16, 3), dtype=np.uint8)
    with PatchSetWriter.create(path, ["benign", "tumour"], (16, 16), 0.5) as writer:
        for label, images in enumerate(noise):
            writer.add(images, label=label, patient=f"p{label}")
        writer.finish({"step": "test"}, split=["train"] * 32)
    for folder in (path, *path.rglob("*"), *list(path.parents)[:2]):
        folder.chmod(0o777)
    return path


@pytest.fixture(scope="module")
def node(image, network, s3, environment, patches, tmp_path_factory):
    """Starts a pod of the training on a node of its own: the container, and the folder of its outputs."""
    client = docker.from_env()
    s3.bucket("preemption")
    started = []

    def start(name, checkpoints):
        out = tmp_path_factory.mktemp(name)
        for folder in (out, *list(out.parents)[:2]):
            folder.chmod(0o777)
        settings = {**SETTINGS, "checkpoints": f"s3://preemption/{checkpoints}"}
        sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        paths = ["--patches", str(patches), "--out", f"{out}/generator"]
        command = ["histoforge", "train-generator", *paths, "--preset", "", *sets]
        mounts = {str(patches): {"bind": str(patches), "mode": "ro"}, str(out): {"bind": str(out), "mode": "rw"}}
        container = client.containers.run(
            image,
            command,
            detach=True,
            volumes=mounts,
            network_mode=network[0],
            environment={**environment, "OMP_NUM_THREADS": "1"},
            **HARDENED,
        )
        started.append(container)
        return container, out

    yield start
    for container in started:
        container.remove(force=True)


def weights(out):
    return (out / "generator" / "model.safetensors").read_bytes()


def is_checkpoint(name, training):
    return name.startswith(training) and "/checkpoint-" in name  # not the file that asks whether one may write


def ends(container, status):
    assert container.wait()["StatusCode"] == status, container.logs().decode()[-2000:]


@pytest.fixture(scope="module")
def unharmed(node):
    container, out = node("unharmed", "unharmed")
    ends(container, 0)
    return weights(out)


@pytest.mark.parametrize(("signal", "status"), [("SIGTERM", 143), ("SIGKILL", 137)])
def test_a_killed_pod_goes_on_elsewhere_and_ends_with_the_same_weights(signal, status, node, s3, unharmed):
    container, out = node(f"first-{signal}", signal)
    deadline = time.monotonic() + 120
    while not any(is_checkpoint(name, signal) for name in s3.left_in("preemption")) and time.monotonic() < deadline:
        time.sleep(0.05)
    container.kill(signal)
    ends(container, status)
    assert not (out / "generator").exists()

    retry, elsewhere = node(f"retry-{signal}", signal)
    ends(retry, 0)
    assert "resumes after step" in retry.logs().decode()
    assert weights(elsewhere) == unharmed
    assert not any(name.startswith(signal) for name in s3.left_in("preemption"))
