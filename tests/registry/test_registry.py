"""One publisher after the other: versions, champion, history, rollback, and what is damaged."""

from pathlib import Path

import pytest
from published import NAME, check_whole, make_version, publish

from histoforge.core.errors import ModelError
from histoforge.registry import Publication, Registry, Verdict, model_names
from histoforge.registry.publications import parse_publication
from histoforge.storage import open_location


@pytest.fixture
def registry(models: str) -> Registry:
    return Registry(open_location(models), NAME)


def test_only_a_better_one_replaces_the_champion(registry: Registry, tmp_path: Path) -> None:
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


def test_publishing_the_champion_again_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    first = publish(registry, tmp_path / "1", 0.5)
    again = publish(registry, tmp_path / "2", 0.5)
    assert again.published
    assert (again.champion, len(registry.history())) == (first.champion, 1)


def test_a_rollback_names_the_former_version_and_deletes_nothing(registry: Registry, tmp_path: Path) -> None:
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


def test_a_version_that_is_not_there_is_named(registry: Registry, tmp_path: Path) -> None:
    done = publish(registry, tmp_path / "1", 0.5)
    with pytest.raises(ModelError, match=f"has no version 'x'.*choose one of {done.version}"):
        registry.rollback("x", "why not")
    with pytest.raises(ModelError, match="has no version"):
        registry.fetch("x", tmp_path / "x")


def test_a_publication_that_is_not_whole_is_passed_over(registry: Registry, tmp_path: Path) -> None:
    done = publish(registry, tmp_path / "1", 0.5)
    content = done.champion.content()
    assert parse_publication(content) == done.champion
    assert parse_publication(content[:-30]) is None
    assert parse_publication(content.replace(b'"serial": 1', b'"serial": 7')) is None
    registry.place.write("champions/000002-0123456789ab.json", content[:-30])
    registry.place.write("champion.json", b"{")
    assert registry.champion() == done.champion
    better = publish(registry, tmp_path / "2", 0.6)
    assert better.published
    assert check_whole(registry, tmp_path / "whole") == better.champion


def test_a_changed_file_is_not_handed_out(tmp_path: Path) -> None:
    registry = Registry(open_location(str(tmp_path / "models")), NAME)
    done = publish(registry, tmp_path / "1", 0.5)
    (tmp_path / "models" / NAME / done.version / "model" / "arm.json").write_text("[]\n")
    with pytest.raises(ModelError, match=r"arm\.json is not what was published"):
        registry.fetch(done.version, tmp_path / "out")


def test_who_was_published_at_the_same_moment_is_compared_afterwards(registry: Registry, tmp_path: Path) -> None:
    """The other publishes between the judging and the writing of the first, which a listing cannot tell in time."""
    publish(registry, tmp_path / "0", 0.1)
    packed, card = make_version(tmp_path / "slow", 0.5)
    others: list[str] = []

    class Slow(Registry):
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
