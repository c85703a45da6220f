"""The real test data beside the project. A module of its own, since `conftest` names several files of this suite."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_data(*parts: str) -> Path:
    """A path in the real test data that lies beside the project; the test is skipped where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the real test data is not beside the project ({'/'.join(parts)})")
    return path
