"""What many tests share, and how `make test` distributes them."""

import builtins
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from real_data import shared_data

__all__ = ["shared_data"]

LONG = ("tests/backend/", "tests/pipelines/", "tests/fuzz/", "tests/extending/")
"""Folders with long modules, which come first, so that no worker waits for another at the end."""


_PRINT = print


@pytest.fixture(autouse=True)
def plain_output() -> Iterator[None]:
    """Remove the `print` and the log handlers that two concurrent tasks of kfp's local runner leave behind."""
    yield
    builtins.print = _PRINT
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: [not item.nodeid.startswith(folder) for folder in LONG])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker whole files, and all of `tests/backend` to one, because its files share runs of pipelines."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/backend" if nodeid.startswith("tests/backend/") else str(super()._split_scope(nodeid))

    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None
