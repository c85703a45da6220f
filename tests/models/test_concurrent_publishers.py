"""Publishers at once, each a process of its own, and publishers that are killed: the pointer is never broken."""

import signal
from pathlib import Path

import pytest
from published import CONTEXT, NAME, check_whole, publish, start, worth_of

from histoforge.models import ModelStore
from histoforge.storage import open_location


def test_of_publishers_at_once_the_best_is_champion_and_none_is_lost(models: str, tmp_path: Path) -> None:
    registry = ModelStore(open_location(models), NAME)
    for turn in range(3):
        worths = [turn + share for share in (0.3, 0.1, 0.2)]
        barrier = CONTEXT.Barrier(len(worths))
        folders = [tmp_path / f"{worth:g}" for worth in worths]
        running = [start(models, folder, worth, barrier) for folder, worth in zip(folders, worths, strict=True)]
        for process in running:
            process.join(60)
        assert [process.exitcode for process in running] == [0, 0, 0]
        champion = check_whole(registry, tmp_path / f"whole-{turn}")
        assert worth_of(registry, champion.version) == max(worths)
        assert registry.place.read("champion.json")[0] == champion.content()
        named = {publication.version for publication in registry.history()}
        for folder in folders:
            published, version = (folder / "outcome").read_text().split(" ")
            assert version in {"", *registry.versions()}
            assert published == "False" or version in named


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_publisher_killed_at_any_point_leaves_a_whole_champion(models: str, tmp_path: Path, after: bool) -> None:
    registry = ModelStore(open_location(models), NAME)
    publish(registry, tmp_path / "first", 0.5)
    worth, kills = 1.0, 0
    for operation in range(1, 60):
        worth += 1
        process = start(models, tmp_path / f"killed-{operation}", worth, deadly=(operation, after))
        process.join(60)
        champion = check_whole(registry, tmp_path / f"whole-{operation}") if operation % 5 == 0 else registry.champion()
        assert worth_of(registry, champion.version) <= worth
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        if operation % 3 == 0:
            again = publish(registry, tmp_path / f"again-{operation}", worth)
            assert again.published
            assert registry.place.read("champion.json")[0] == again.champion.content()
    assert kills > 8
    champion = check_whole(registry, tmp_path / "whole")
    assert worth_of(registry, champion.version) == worth
