"""One publisher after the other: versions, champion, history, rollback, and what is damaged."""

from pathlib import Path

import pytest
from published import NAME, check_whole, make_version, publish

from histoforge.core.errors import ModelError
from histoforge.models import ModelStore, Publication, Verdict, model_names
from histoforge.models.publications import parse_publication
from histoforge.storage import open_location


@pytest.fixture
def registry(models: str) -> ModelStore:
    return ModelStore(open_location(models), NAME)


def test_only_a_better_one_replaces_the_champion(registry: ModelStore, tmp_path: Path) -> None:
    first = publish(registry, tmp_path / "1", 0.5)
    worse = publish(registry, tmp_path / "2", 0.4)
    better = publish(registry, tmp_path / "3", 0.6)
    assert [one.published for one in (first, worse, better)] == [True, False, True]
    assert worse.version == ""
    assert worse.champion == first.champion
    assert registry.versions() == sorted([first.version, better.version])
    champion = check_whole(registry, tmp_path / "whole")
    assert (champion.serial, champion.version, champion.replaces) == (2, better.version, first.version)
    assert registry.place.read("champion.json")[0] == champion.content()
    assert model_names(registry.models) == [NAME]


def test_publishing_the_champion_again_changes_nothing(registry: ModelStore, tmp_path: Path) -> None:
    first = publish(registry, tmp_path / "1", 0.5)
    again = publish(registry, tmp_path / "2", 0.5)
    assert again.published
    assert (again.champion, len(registry.history())) == (first.champion, 1)


def test_a_rollback_names_the_former_version_and_deletes_nothing(registry: ModelStore, tmp_path: Path) -> None:
    first, second = publish(registry, tmp_path / "1", 0.5), publish(registry, tmp_path / "2", 0.6)
    done = registry.rollback(first.version, "it fails on frozen sections")
    assert check_whole(registry, tmp_path / "whole") == done
    assert (done.version, done.replaces, done.action) == (first.version, second.version, "rollback")
    assert len(registry.versions()) == 2
    refused = publish(registry, tmp_path / "3", 0.6)
    assert not refused.published
    assert "it fails on frozen sections" in refused.verdict.reason
    with pytest.raises(ModelError, match="is the champion of tumour already"):
        registry.rollback(first.version, "again")
    registry.rollback(second.version, "it was right after all")
    assert publish(registry, tmp_path / "4", 0.6).published


def test_a_version_that_is_not_there_is_named(registry: ModelStore, tmp_path: Path) -> None:
    done = publish(registry, tmp_path / "1", 0.5)
    with pytest.raises(ModelError, match=f"has no version 'x'.*choose one of {done.version}"):
        registry.rollback("x", "why not")
    with pytest.raises(ModelError, match="has no version"):
        registry.fetch("x", tmp_path / "x")


def test_only_a_whole_publication_is_taken_for_one(registry: ModelStore, tmp_path: Path) -> None:
    done = publish(registry, tmp_path / "1", 0.5)
    content = done.champion.content()
    assert parse_publication(content) == done.champion
    assert parse_publication(content[:-30]) is None
    assert parse_publication(content.replace(b'"serial": 1', b'"serial": 7')) is None


def flip_a_bit(registry: ModelStore, name: str) -> None:
    content = bytearray(registry.place.read(name)[0])
    content[len(content) // 2] ^= 1
    registry.place.write(name, bytes(content))


def refused(registry: ModelStore, tmp_path: Path, sentence: str) -> None:
    """Neither is an earlier champion brought back, nor is a worse version published as the first of its name."""
    for use in (registry.champion, registry.history, lambda: publish(registry, tmp_path / "worse", 0.1)):
        with pytest.raises(ModelError, match=sentence):
            use()


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_damaged_publication_is_an_error_and_the_pointer_mends_it(
    registry: ModelStore, tmp_path: Path, earlier: int
) -> None:
    for number in range(earlier):
        publish(registry, tmp_path / str(number), 0.5)
    last = publish(registry, tmp_path / "last", 0.6).champion
    flip_a_bit(registry, last.name)
    refused(
        registry, tmp_path, rf"{last.name} is damaged, and .*/champion\.json holds the same: copy champion\.json over"
    )
    registry.place.write(last.name, registry.place.read("champion.json")[0])
    assert registry.champion() == last


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_publication_that_is_missing_is_an_error_and_the_pointer_mends_it(
    registry: ModelStore, tmp_path: Path, earlier: int
) -> None:
    for number in range(earlier):
        publish(registry, tmp_path / str(number), 0.5)
    last = publish(registry, tmp_path / "last", 0.6).champion
    registry.place.delete(last.name)
    refused(
        registry, tmp_path, rf"{last.name} is missing, and .*/champion\.json holds the same: copy champion\.json to"
    )
    assert model_names(registry.models) == [NAME]
    registry.place.write(last.name, registry.place.read("champion.json")[0])
    assert registry.champion() == last


def test_a_damaged_publication_that_nothing_repeats_can_be_removed(registry: ModelStore, tmp_path: Path) -> None:
    first = publish(registry, tmp_path / "1", 0.5).champion
    pointer = registry.place.read("champion.json")[0]
    last = publish(registry, tmp_path / "2", 0.6).champion
    flip_a_bit(registry, last.name)
    registry.place.write("champion.json", pointer)
    refused(registry, tmp_path, f"or remove it, which makes {first.version} the champion again")
    registry.place.delete(last.name)
    assert registry.champion() == first


def test_a_damaged_pointer_is_named_and_written_anew(
    registry: ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = publish(registry, tmp_path / "1", 0.5).champion
    flip_a_bit(registry, "champion.json")
    assert registry.champion() == first
    assert "champion.json is damaged: the next publication or rollback writes it anew" in capsys.readouterr().err
    better = publish(registry, tmp_path / "2", 0.6)
    assert check_whole(registry, tmp_path / "whole") == better.champion
    for name in (first.name, better.champion.name):
        registry.place.delete(name)
    flip_a_bit(registry, "champion.json")
    refused(registry, tmp_path, r"champion\.json is damaged, and what it repeats is missing")


@pytest.mark.parametrize("name", ["model_card.json", "version.json", "model/arm.json"])
def test_a_damaged_version_names_one_to_roll_back_to_where_there_is_one(tmp_path: Path, name: str) -> None:
    registry = ModelStore(open_location(str(tmp_path / "models")), NAME)
    first = publish(registry, tmp_path / "1", 0.5)
    flip_a_bit(registry, f"{first.version}/{name}")
    with pytest.raises(ModelError, match="bring it back from a backup"):
        registry.fetch(first.version, tmp_path / "out")
    flip_a_bit(registry, f"{first.version}/{name}")
    better = publish(registry, tmp_path / "2", 0.6)
    flip_a_bit(registry, f"{better.version}/{name}")
    with pytest.raises(ModelError, match=rf"roll back to another version \({first.version}\)"):
        registry.fetch(better.version, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    registry.rollback(first.version, "the other one is damaged")
    assert registry.fetch(first.version, tmp_path / "out").is_dir()


def test_a_changed_file_is_not_handed_out(tmp_path: Path) -> None:
    registry = ModelStore(open_location(str(tmp_path / "models")), NAME)
    done = publish(registry, tmp_path / "1", 0.5)
    (tmp_path / "models" / NAME / done.version / "model" / "arm.json").write_text("[]\n")
    with pytest.raises(ModelError, match=r"arm\.json is not what was published"):
        registry.fetch(done.version, tmp_path / "out")


def test_who_was_published_at_the_same_moment_is_compared_afterwards(registry: ModelStore, tmp_path: Path) -> None:
    """The other publishes between the judging and the writing of the first, which a listing cannot tell in time."""
    publish(registry, tmp_path / "0", 0.1)
    packed, card = make_version(tmp_path / "slow", 0.5)
    others: list[str] = []

    class Slow(ModelStore):
        def _append(self, *arguments) -> Publication:  # type: ignore[no-untyped-def]
            if not others:
                others.append(publish(registry, tmp_path / "quick", 0.9).version)
            return super()._append(*arguments)

    def judge(version: str, champion: Publication | None) -> Verdict:
        mine, theirs = registry.card(version) if others else card, registry.card(champion.version)
        better = mine.scores["accuracy"].value > theirs.scores["accuracy"].value
        return Verdict(better, "the better one counts")

    outcome = Slow(registry.models, NAME).publish(packed, card, judge)
    assert not outcome.published
    assert check_whole(registry, tmp_path / "whole").version == others[0]
    assert {publication.version for publication in registry.history()} >= {outcome.version, others[0]}
