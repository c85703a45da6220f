"""A model's versions and its champion at a location, safe with several publishers at once and with killed ones.

`<models>/<name>/<version>/` never changes: its name is a digest of its files, and `version.json`, written last, makes
it whole. Every change of the champion is a file of its own in `<models>/<name>/champions/`, so that no publication is
lost; the last whole one names the champion. `<models>/<name>/champion.json` repeats it for whoever reads with other
tools, and is written last.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from histoforge.core.digests import digest_file, digest_json
from histoforge.core.errors import ModelError, StorageError
from histoforge.core.files import atomic_directory, read_json, write_json
from histoforge.core.settings import nearest
from histoforge.registry.card import CARD_NAME, README_NAME, ModelCard
from histoforge.registry.publications import Publication, now, parse_publication, serial_of
from histoforge.storage import Location

POINTER = "champion.json"
WHOLE = "version.json"
MODEL = "model"
ROUNDS = 25


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger may replace the champion.

    Attributes:
        accepted: whether it may.
        reason: why, in words that complete 'because …'.
        evidence: the test behind it, as JSON values.
    """

    accepted: bool
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt to publish.

    Attributes:
        published: whether the challenger is the champion.
        version: the challenger's version; '' where it was refused before it was stored.
        champion: the publication that stands now; None where there is no champion.
        verdict: the one that decided.
    """

    published: bool
    version: str
    champion: Publication | None
    verdict: Verdict


Judge = Callable[[Publication | None], Verdict]
"""What decides between a challenger and the champion (None where there is none)."""


class Registry:
    """The versions and the champion of the model `name` below `models`.

    All methods raise StorageError where the location refuses or does not answer.
    """

    def __init__(self, models: Location, name: str) -> None:
        self.models, self.name = models, name
        self.place = models.child(name)

    def __str__(self) -> str:
        return str(self.place)

    def versions(self) -> list[str]:
        """The versions that are whole, by name."""
        suffix = f"/{WHOLE}"
        names = [entry.name for entry in self.place.entries()]
        return [name.removesuffix(suffix) for name in names if name.endswith(suffix) and name.count("/") == 1]

    def history(self) -> list[Publication]:
        """All changes of the champion, the last one last; files that are not whole are passed over."""
        return list(reversed(list(self._latest_first())))

    def champion(self) -> Publication | None:
        """The last change of the champion; None where nothing was published."""
        return next(self._latest_first(), None)

    def card(self, version: str) -> ModelCard:
        """The model card of a version.

        Raises:
            ModelError: there is no such version, or it is damaged.
        """
        if self.place.read(f"{version}/{WHOLE}") is None:
            known = self.versions()
            listed = ", ".join(known) or "none"
            raise ModelError(f"{self} has no version '{version}'{nearest(version, known)}: choose one of {listed}.")
        found = self.place.read(f"{version}/{CARD_NAME}")
        try:
            return ModelCard.model_validate_json(found[0] if found else b"")
        except ValidationError:
            raise ModelError(
                f"{self}/{version}/{CARD_NAME} is missing or damaged: roll back to another version."
            ) from None

    def fetch(self, version: str, folder: Path) -> Path:
        """Copy a version to the new directory `folder` and verify it; returns the model's path in it.

        Raises:
            ModelError: there is no such version, or a file is not what was published.
        """
        self.card(version)
        self.place.child(version).get_tree(Path(folder))
        said = read_json(Path(folder) / WHOLE)["files"]
        for name, digest in said.items():
            path = Path(folder) / name
            if not path.is_file() or digest_file(path) != digest:
                raise ModelError(f"{self}/{version}/{name} is not what was published: roll back to another version.")
        return Path(folder) / MODEL

    def publish(self, folder: Path, card: ModelCard, judge: Judge) -> Outcome:
        """Make a model the champion where `judge` finds it fit, even while others do the same.

        The challenger is judged against the champion, stored, and named champion. Where another was named meanwhile,
        it is judged against that one. Where two were named at the very same moment, whoever sees it judges again and
        yields to the other where it is not fit to replace it.

        Args:
            folder: the version as `pack` made it.
            card: its model card.
            judge: decides against one champion; it may be asked several times.

        Raises:
            StorageError: others keep changing the champion.
        """
        version, stored = version_of(folder), ""
        if withdrawn := self._rolled_back(card.model):
            reason = f"it was rolled back on {withdrawn.time[:10]} ('{withdrawn.reason}'): roll forward by hand"
            return Outcome(False, "", self.champion(), Verdict(False, reason))
        for _ in range(ROUNDS):
            base = self.champion()
            if base and base.model == card.model:
                self._point()
                return Outcome(True, base.version, base, Verdict(True, base.reason, base.evidence))
            verdict = judge(base)
            if not verdict.accepted:
                self._point()
                return Outcome(False, stored, base, verdict)
            stored = self.store(folder, version)
            if self.champion() != base:
                continue
            own = self._append(base, version, card.model, "publish", verdict)
            if self.champion() == own:
                return self._settled(own, version, verdict, judge)
        raise _too_busy(self)

    def rollback(self, version: str, reason: str) -> Publication:
        """Make a former version the champion again; nothing is deleted.

        Raises:
            ModelError: there is no such version, or it is the champion.
            StorageError: others keep changing the champion.
        """
        card = self.card(version)
        for _ in range(ROUNDS):
            base = self.champion()
            if base is not None and base.version == version:
                raise ModelError(f"{version} is the champion of {self.name} already: name another version.")
            done = self._append(base, version, card.model, "rollback", Verdict(True, reason))
            if self.champion() == done:
                self._point()
                return done
        raise _too_busy(self)

    def store(self, folder: Path, version: str) -> str:
        """Copy a packed version to its place; one that is there is left alone. Returns `version`."""
        if self.place.read(f"{version}/{WHOLE}") is None:
            self.place.child(version).put_tree(Path(folder), last=WHOLE)
        return version

    def _settled(self, own: Publication, version: str, verdict: Verdict, judge: Judge) -> Outcome:
        """The end of a publication that stands last: others of the same serial were not compared with it yet."""
        for rival in self._latest_first():
            if rival.serial != own.serial:
                break
            if rival == own or rival.model == own.model:
                continue
            against = judge(rival)
            if not against.accepted:
                reason = f"{rival.version} was published at the same moment, and {against.reason}"
                given = self._append(own, rival.version, rival.model, "yield", Verdict(False, reason, against.evidence))
                self._point()
                return Outcome(False, version, given, against)
        self._point()
        return Outcome(True, version, own, verdict)

    def _append(
        self,
        base: Publication | None,
        version: str,
        model: str,
        action: Literal["publish", "rollback", "yield"],
        why: Verdict,
    ) -> Publication:
        done = Publication(
            serial=base.serial + 1 if base else 1,
            version=version,
            model=model,
            action=action,
            replaces=base.version if base else "",
            replaced_model=base.model if base else "",
            reason=why.reason,
            evidence=why.evidence,
            time=now(),
        ).sealed()
        self.place.write(done.name, done.content())
        return done

    def _point(self) -> None:
        """Make `champion.json` say what the last publication says, however many do so at once."""
        for _ in range(ROUNDS):
            champion, found = self.champion(), self.place.read(POINTER)
            if champion is None or (found and found[0] == champion.content()):
                return
            self.place.write(POINTER, champion.content(), only_over=found[1] if found else "")

    def _latest_first(self) -> Iterator[Publication]:
        names = [entry.name for entry in self.place.entries() if serial_of(entry.name) is not None]
        for name in sorted(names, key=lambda name: (serial_of(name), name), reverse=True):
            found = self.place.read(name)
            publication = parse_publication(found[0]) if found else None
            if publication is not None and publication.name == name:
                yield publication

    def _rolled_back(self, model: str) -> Publication | None:
        """The rollback that took this model away, where it is the last that was done with it."""
        for publication in self._latest_first():
            if publication.model == model:
                return None
            if publication.action == "rollback" and publication.replaced_model == model:
                return publication
        return None


def _too_busy(registry: Registry) -> StorageError:
    return StorageError(f"{registry} has too many publishers at once: run it again when the others have ended.")


def pack(model: Path, card: ModelCard, folder: Path) -> Path:
    """Make the directory of a version: the model, its card as JSON and as a page, and the list that makes it whole."""
    with atomic_directory(folder) as directory:
        shutil.copytree(model, directory / MODEL)
        write_json(directory / CARD_NAME, card.model_dump(mode="json"))
        (directory / README_NAME).write_text(card.as_markdown(), encoding="utf-8")
        files = file_digests(directory)
        write_json(directory / WHOLE, {"schema_version": 1, "version": digest_json(files)[:16], "files": files})
    return folder


def version_of(folder: Path) -> str:
    """The name of a packed version."""
    return str(read_json(Path(folder) / WHOLE)["version"])


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a directory, by its relative name."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest_file(path) for path in paths}


def model_names(models: Location) -> list[str]:
    """The names under which something was published at `models`."""
    parts = [entry.name.split("/") for entry in models.entries()]
    return sorted({part[0] for part in parts if len(part) > 2 and serial_of("/".join(part[1:])) is not None})
