"""Concurrent publishers in separate processes, and killed publishers: the pointer is never broken."""

import signal
from pathlib import Path

import pytest
from published import CONTEXT, NAME, check_complete, publish, start, worth_of

from histoforge.models import ModelStore
from histoforge.storage import open_location


def test_the_best_of_four_concurrent_publishers_is_champion_and_none_is_lost(models: str, tmp_path: Path) -> None:
    store = ModelStore(open_location(models), NAME)
    for round_number in range(3):
        worths = [round_number + share for share in (0.3, 0.1, 0.4, 0.2)]
        barrier = CONTEXT.Barrier(len(worths))
        folders = [tmp_path / f"{worth:g}" for worth in worths]
        running = [start(models, folder, worth, barrier) for folder, worth in zip(folders, worths, strict=True)]
        for process in running:
            process.join(60)
        assert [process.exitcode for process in running] == [0] * len(worths)
        champion = check_complete(store, tmp_path / f"whole-{round_number}")
        assert worth_of(store, champion.version) == max(worths)
        assert store.location.read("champion.json")[0] == champion.content()
        history = store.history()
        named = {publication.version for publication in history}
        assert len(store.versions()) == len(set(store.versions()))
        assert len({publication.name for publication in history}) == len(history)
        for folder in folders:
            published, version = (folder / "result").read_text().split(" ")
            assert version in {"", *store.versions()}
            assert published == "False" or version in named


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_publisher_killed_at_any_point_leaves_a_complete_champion(models: str, tmp_path: Path, after: bool) -> None:
    store = ModelStore(open_location(models), NAME)
    publish(store, tmp_path / "first", 0.5)
    worth, kills = 1.0, 0
    for operation in range(1, 60):
        worth += 1
        process = start(models, tmp_path / f"killed-{operation}", worth, kill_at=(operation, after))
        process.join(60)
        champion = check_complete(store, tmp_path / f"whole-{operation}") if operation % 5 == 0 else store.champion()
        assert worth_of(store, champion.version) <= worth
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        if operation % 3 == 0:
            again = publish(store, tmp_path / f"again-{operation}", worth)
            assert again.published
            assert store.location.read("champion.json")[0] == again.champion.content()
    assert kills > 8
    champion = check_complete(store, tmp_path / "whole")
    assert worth_of(store, champion.version) == worth
