"""What the tests of a backend's view share."""

import pytest
from backend.installation import Installation, install_wheel


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The project's wheel in an environment of its own."""
    return install_wheel(tmp_path_factory.mktemp("wheel"))
