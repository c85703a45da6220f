"""End-to-end tests need a container service and the built image: `make images`, then `make e2e`."""

import os

import pytest
from s3_server import serve_s3, settings

IMAGE = os.environ.get("HISTOFORGE_E2E_IMAGE", "")
SLIM_IMAGE = os.environ.get("HISTOFORGE_E2E_SLIM_IMAGE", "")
if IMAGE:
    os.environ["HISTOFORGE_IMAGE_CUDA"] = IMAGE  # before the components are imported
    os.environ["HISTOFORGE_IMAGE_SLIM"] = SLIM_IMAGE or IMAGE
else:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def image():
    """The image under test."""
    from containers import service_answers

    if not service_answers():
        pytest.skip("no container service answers: set DOCKER_HOST to podman's or Docker's socket")
    return IMAGE


@pytest.fixture(scope="session")
def slim_image(image):
    """The image of the tasks without torch."""
    if not SLIM_IMAGE:
        pytest.skip("HISTOFORGE_E2E_SLIM_IMAGE names no image")
    return SLIM_IMAGE


@pytest.fixture(scope="session")
def network(image):
    """A network that leads to one address of this machine: the network mode, and that address."""
    from containers import lonely_network

    with lonely_network() as found:
        yield found


@pytest.fixture(scope="session")
def s3(network, tmp_path_factory):
    """An S3 server at that address."""
    with serve_s3(tmp_path_factory.mktemp("s3") / "buckets", host=network[1]) as server:
        yield server


@pytest.fixture(scope="session")
def environment(s3):
    """What a pod gets from the storage secret."""
    return settings(s3.endpoint)
