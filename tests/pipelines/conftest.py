"""The source of the pipelines' tests."""

import pytest
from tiny_study import write_images


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("source") / "images")
