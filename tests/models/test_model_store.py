"""Publishers one after another: versions, champion, history, rollback, and damaged files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from published import NAME, check_complete, publish

from histoforge.core.errors import ModelError
from histoforge.models import ModelStore, Publication, PublishResult, model_names
from histoforge.models.publications import parse_publication
from histoforge.storage import open_location


@pytest.fixture
def store(models: str) -> ModelStore:
    return ModelStore(open_location(models), NAME)


def test_only_a_better_one_replaces_the_champion(store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path / "1", 0.5)
    worse = publish(store, tmp_path / "2", 0.4)
    better = publish(store, tmp_path / "3", 0.6)
    assert [result.published for result in (first, worse, better)] == [True, False, True]
    assert worse.version == ""
    assert worse.champion == first.champion
    assert store.versions() == sorted([first.version, better.version])
    champion = check_complete(store, tmp_path / "whole")
    assert (champion.serial, champion.version, champion.replaces) == (2, better.version, first.version)
    assert store.location.read("champion.json")[0] == champion.content()
    assert model_names(store.models) == [NAME]


def test_publishing_the_champion_again_changes_nothing(store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path / "1", 0.5)
    again = publish(store, tmp_path / "2", 0.5)
    assert again.published
    assert (again.champion, len(store.history())) == (first.champion, 1)


def test_a_rollback_names_the_former_version_and_deletes_nothing(store: ModelStore, tmp_path: Path) -> None:
    first, second = publish(store, tmp_path / "1", 0.5), publish(store, tmp_path / "2", 0.6)
    rollback = store.rollback(first.version, "it fails on frozen sections")
    assert check_complete(store, tmp_path / "whole") == rollback
    assert (rollback.version, rollback.replaces, rollback.action) == (first.version, second.version, "rollback")
    assert len(store.versions()) == 2
    refused = publish(store, tmp_path / "3", 0.6)
    assert not refused.published
    assert "it fails on frozen sections" in refused.verdict.reason
    with pytest.raises(ModelError, match="is already the champion of tumour"):
        store.rollback(first.version, "again")
    store.rollback(second.version, "it was right after all")
    assert publish(store, tmp_path / "4", 0.6).published


def test_a_version_that_is_not_there_is_named(store: ModelStore, tmp_path: Path) -> None:
    result = publish(store, tmp_path / "1", 0.5)
    with pytest.raises(ModelError, match=f"has no version 'x'.*choose one of {result.version}"):
        store.rollback("x", "why not")
    with pytest.raises(ModelError, match="has no version"):
        store.fetch("x", tmp_path / "x")


def test_only_a_whole_publication_is_taken_for_one(store: ModelStore, tmp_path: Path) -> None:
    result = publish(store, tmp_path / "1", 0.5)
    content = result.champion.content()
    assert parse_publication(content) == result.champion
    assert parse_publication(content[:-30]) is None
    assert parse_publication(content.replace(b'"serial": 1', b'"serial": 7')) is None


def flip_a_bit(store: ModelStore, name: str) -> None:
    content = bytearray(store.location.read(name)[0])
    content[len(content) // 2] ^= 1
    store.location.write(name, bytes(content))


def refused(store: ModelStore, tmp_path: Path, sentence: str) -> None:
    """Neither is an earlier champion brought back, nor is a worse version published as the first of its name."""
    for use in (store.champion, store.history, lambda: publish(store, tmp_path / "worse", 0.1)):
        with pytest.raises(ModelError, match=sentence):
            use()


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_damaged_publication_is_an_error_and_the_pointer_mends_it(
    store: ModelStore, tmp_path: Path, earlier: int
) -> None:
    for number in range(earlier):
        publish(store, tmp_path / str(number), 0.5)
    last = publish(store, tmp_path / "last", 0.6).champion
    flip_a_bit(store, last.name)
    refused(store, tmp_path, rf"{last.name} is damaged: copy .*/champion\.json, which has the same content, over it")
    store.location.write(last.name, store.location.read("champion.json")[0])
    assert store.champion() == last


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_publication_that_is_missing_is_an_error_and_the_pointer_mends_it(
    store: ModelStore, tmp_path: Path, earlier: int
) -> None:
    for number in range(earlier):
        publish(store, tmp_path / str(number), 0.5)
    last = publish(store, tmp_path / "last", 0.6).champion
    store.location.delete(last.name)
    refused(
        store, tmp_path, rf"{last.name} is missing: copy .*/champion\.json, which has the same content, to that name"
    )
    assert model_names(store.models) == [NAME]
    store.location.write(last.name, store.location.read("champion.json")[0])
    assert store.champion() == last


def test_a_damaged_publication_that_nothing_repeats_can_be_removed(store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path / "1", 0.5).champion
    pointer = store.location.read("champion.json")[0]
    last = publish(store, tmp_path / "2", 0.6).champion
    flip_a_bit(store, last.name)
    store.location.write("champion.json", pointer)
    refused(store, tmp_path, f"or delete it, which makes {first.version} the champion again")
    store.location.delete(last.name)
    assert store.champion() == first


def test_a_damaged_pointer_is_reported_and_rewritten(
    store: ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = publish(store, tmp_path / "1", 0.5).champion
    flip_a_bit(store, "champion.json")
    assert store.champion() == first
    assert "champion.json is damaged: the next publication or rollback rewrites it" in capsys.readouterr().err
    better = publish(store, tmp_path / "2", 0.6)
    assert check_complete(store, tmp_path / "whole") == better.champion
    for name in (first.name, better.champion.name):
        store.location.delete(name)
    flip_a_bit(store, "champion.json")
    refused(store, tmp_path, r"champion\.json is damaged, and the publication that it repeats is missing")


@pytest.mark.parametrize("name", ["model_card.json", "version.json", "model/arm.json"])
def test_a_damaged_version_names_one_to_roll_back_to_where_there_is_one(tmp_path: Path, name: str) -> None:
    store = ModelStore(open_location(str(tmp_path / "models")), NAME)
    first = publish(store, tmp_path / "1", 0.5)
    flip_a_bit(store, f"{first.version}/{name}")
    with pytest.raises(ModelError, match="restore it from a backup"):
        store.fetch(first.version, tmp_path / "out")
    flip_a_bit(store, f"{first.version}/{name}")
    better = publish(store, tmp_path / "2", 0.6)
    flip_a_bit(store, f"{better.version}/{name}")
    with pytest.raises(ModelError, match=rf"roll back to another version \({first.version}\)"):
        store.fetch(better.version, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    store.rollback(first.version, "the other one is damaged")
    assert store.fetch(first.version, tmp_path / "out").is_dir()


def test_a_changed_file_is_not_handed_out(tmp_path: Path) -> None:
    store = ModelStore(open_location(str(tmp_path / "models")), NAME)
    result = publish(store, tmp_path / "1", 0.5)
    (tmp_path / "models" / NAME / result.version / "model" / "arm.json").write_text("[]\n")
    with pytest.raises(ModelError, match=r"arm\.json differs from the published file"):
        store.fetch(result.version, tmp_path / "out")


class SlowStore(ModelStore):
    """A store that lets another publisher finish just before its own first publication is written."""

    def __init__(self, store: ModelStore, other: Callable[[], PublishResult]) -> None:
        super().__init__(store.models, store.name)
        self.other, self.others = other, list[PublishResult]()

    def _append(self, *arguments) -> Publication:
        if not self.others:
            self.others.append(self.other())
        return super()._append(*arguments)


def test_a_version_published_meanwhile_is_compared_afterwards(store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path / "0", 0.1)
    slow = SlowStore(store, lambda: publish(store, tmp_path / "quick", 0.9))
    result = publish(slow, tmp_path / "slow", 0.5)
    (quick,) = slow.others
    assert not result.published
    assert check_complete(store, tmp_path / "whole").version == quick.version
    assert {publication.version for publication in store.history()} >= {result.version, quick.version}


def test_of_two_equal_versions_published_at_once_either_is_champion(store: ModelStore, tmp_path: Path) -> None:
    """Neither may replace the other, and the publishers must not take turns at yielding."""
    publish(store, tmp_path / "0", 0.1)
    slow = SlowStore(store, lambda: publish(store, tmp_path / "quick", 0.9, content="another model"))
    result = publish(slow, tmp_path / "slow", 0.9)
    (quick,) = slow.others
    assert result.version != quick.version
    assert check_complete(store, tmp_path / "whole").version in (result.version, quick.version)
    assert len(store.history()) <= 4
