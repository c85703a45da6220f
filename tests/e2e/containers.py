"""Containers for the end-to-end tests: kfp's Docker runner, a network that reaches one S3 server, podman or docker."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
from kfp.local import docker_task_handler

HARDENED = {
    "read_only": True,
    "tmpfs": {"/tmp": "rw,exec,size=2g"},
    "user": "12345:0",
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "shm_size": "256m",
}
"""As Pod Security 'restricted' runs a pod, and with a user id that the image does not know."""

LINK = ("10.213.77.1", "10.213.77.2")
NAMESPACE = "histoforge-e2e"


def engine() -> str:
    """The command line tool of the container service."""
    found = shutil.which("podman") or shutil.which("docker")
    assert found
    return found


@contextmanager
def lonely_network() -> Iterator[tuple[str, str]]:
    """A network whose containers reach this machine at one address and nothing else: (network mode, that address)."""
    commands = [
        f"ip netns add {NAMESPACE}",
        f"ip link add hf-e2e-host type veth peer name hf-e2e-pod netns {NAMESPACE}",
        f"ip addr add {LINK[0]}/30 dev hf-e2e-host",
        "ip link set hf-e2e-host up",
        f"ip -n {NAMESPACE} addr add {LINK[1]}/30 dev hf-e2e-pod",
        f"ip -n {NAMESPACE} link set hf-e2e-pod up",
        f"ip -n {NAMESPACE} link set lo up",
    ]
    subprocess.run(["ip", "netns", "del", NAMESPACE], capture_output=True, check=False)
    try:
        for command in commands:
            subprocess.run(command.split(), check=True, capture_output=True)
        yield f"ns:/run/netns/{NAMESPACE}", LINK[0]
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], capture_output=True, check=False)


@contextmanager
def honest_docker_runner(environment: dict[str, str], log: list[str]) -> Iterator[None]:
    """Let kfp's Docker runner hand on `environment`, and see failures.

    As it is, it removes a container automatically and takes "already gone" for success, which through podman's socket
    turns every failure into one.
    """

    def run(client: Any, image: str, command: list[str], volumes: dict, **arguments: Any) -> int:
        given = {**arguments.pop("environment", {}), **environment}
        container = client.containers.run(image, command, detach=True, volumes=volumes, environment=given, **arguments)
        try:
            status = int(container.wait()["StatusCode"])
            log.append(container.logs().decode(errors="replace"))
            print(log[-1][-4000:])
        finally:
            container.remove(force=True)
        return status

    original = docker_task_handler.run_docker_container
    docker_task_handler.run_docker_container = run
    try:
        yield
    finally:
        docker_task_handler.run_docker_container = original


def service_answers() -> bool:
    """Whether a container service can be reached."""
    try:
        docker.from_env(timeout=5).ping()
    except (docker.errors.DockerException, OSError):
        return False
    return True


def reaches_out(host: str, port: int) -> bool:
    """Whether a TCP connection can be made."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def image() -> str:
    """The image under test."""
    return os.environ.get("HISTOFORGE_E2E_IMAGE", "")
