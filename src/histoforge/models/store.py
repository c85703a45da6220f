"""A model's versions and its champion at a location, safe against concurrent and killed publishers.

`<models>/<name>/<version>/` never changes: its name is a digest of its files, and `version.json`, written last, marks
it as complete. Every change of the champion is a separate file in `<models>/<name>/champions/`, so that no publication
is lost; the last one names the champion. `<models>/<name>/champion.json` repeats it, is written last, and reveals the
loss of one of these files. A damaged or missing file is an error: it never brings back an earlier champion.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from histoforge.core.digests import digest_file
from histoforge.core.documents import known_shape, parse_json, parse_model
from histoforge.core.errors import ModelError, StorageError
from histoforge.core.settings import nearest
from histoforge.models.card import CARD_NAME, ModelCard
from histoforge.models.champions import POINTER, Champions
from histoforge.models.publications import Publication, now, serial_of
from histoforge.models.versions import MODEL, WHOLE, version_name, version_of
from histoforge.storage import Location, sync_up

ROUNDS = 25


@dataclass(frozen=True)
class Verdict:
    """Decision whether a challenger may replace the champion.

    Attributes:
        accepted: whether it may.
        reason: the reason, in words that complete 'because …'.
        evidence: the test behind it, as JSON values.
    """

    accepted: bool
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PublishResult:
    """The outcome of an attempt to publish.

    Attributes:
        published: whether the challenger is the champion.
        version: the challenger's version; '' if it was refused before it was stored.
        champion: the current publication; None if there is no champion.
        verdict: the verdict that decided.
    """

    published: bool
    version: str
    champion: Publication | None
    verdict: Verdict


Judge = Callable[[str, Publication | None], Verdict]
"""Decides whether a version may replace a champion (None if there is none)."""


class ModelStore:
    """The versions and the champion of the model `name` below `models`.

    All methods raise StorageError if the location refuses or does not answer.
    """

    def __init__(self, models: Location, name: str) -> None:
        self.models, self.name = models, name
        self.place = models.child(name)
        self.champions = Champions(self.place)

    def __str__(self) -> str:
        return str(self.place)

    def versions(self) -> list[str]:
        """Return the names of the complete versions."""
        suffix = f"/{WHOLE}"
        names = [entry.name for entry in self.place.entries()]
        return [name.removesuffix(suffix) for name in names if name.endswith(suffix) and name.count("/") == 1]

    def history(self) -> list[Publication]:
        """Return all changes of the champion, from first to last.

        Raises:
            ModelError: the file of a change is damaged or missing.
        """
        return [self.champions.read(name) for name in self.champions.names()]

    def champion(self) -> Publication | None:
        """Return the last change of the champion; None if nothing was published.

        Raises:
            ModelError: its file is damaged or missing.
        """
        return self.champions.last(self.champions.names())

    def card(self, version: str) -> ModelCard:
        """Return the model card of a version.

        Raises:
            ModelError: the version does not exist, or it is damaged.
        """
        whole = self.place.read(f"{version}/{WHOLE}")
        if whole is None:
            known = self.versions()
            listed = ", ".join(known) or "none"
            raise ModelError(f"{self} has no version '{version}'{nearest(version, known)}: choose one of {listed}.")
        advice, found = self._advice(version), self.place.read(f"{version}/{CARD_NAME}")
        if found is None:
            raise ModelError(f"{self}/{version}/{CARD_NAME} is missing: {advice}.")
        if hashlib.sha256(found[0]).hexdigest() != self._files(version, whole[0]).get(CARD_NAME):
            raise ModelError(f"{self}/{version}/{CARD_NAME} is not what was published: {advice}.")
        return parse_model(ModelCard, found[0], f"{self}/{version}/{CARD_NAME}", ModelError, advice)

    def fetch(self, version: str, folder: Path) -> Path:
        """Copy a version to the new directory `folder` and verify it; returns the path of the model in it.

        An earlier version in `folder` is replaced only after the new one is verified.

        Raises:
            ModelError: the version does not exist, or a file differs from the published one.
        """
        self.card(version)
        self.place.child(version).get_tree(Path(folder), lambda copy: self._verify(version, copy))
        return Path(folder) / MODEL

    def _verify(self, version: str, copy: Path) -> None:
        for name, digest in self._files(version, (copy / WHOLE).read_bytes()).items():
            path = copy / name
            if not path.is_file() or digest_file(path) != digest:
                raise ModelError(f"{self}/{version}/{name} is not what was published: {self._advice(version)}.")

    def _files(self, version: str, content: bytes) -> dict[str, str]:
        """Return the digests of a version's files from `content`, the list of which the version's name is a digest."""
        name, advice = f"{self}/{version}/{WHOLE}", self._advice(version)
        with known_shape(name, ModelError, advice):
            files = {str(file): str(digest) for file, digest in parse_json(content)["files"].items()}
        if version != version_name(files):
            raise ModelError(f"{name} is not what was published: {advice}.")
        return files

    def _advice(self, version: str) -> str:
        """Describe the remedies for a damaged version."""
        others = [other for other in self.versions() if other != version]
        return f"roll back to another version ({', '.join(others)})" if others else "bring it back from a backup"

    def publish(self, folder: Path, card: ModelCard, judge: Judge) -> PublishResult:
        """Make a model the champion if `judge` accepts it, even while others publish at the same time.

        The challenger is judged against the champion, stored, and named champion. If another champion was named
        meanwhile, the challenger is judged against that one. A publication that came so late that the challenger was
        not judged against it is judged afterwards by whichever publisher sees it; if the challenger may not replace it,
        it becomes the champion instead.

        Args:
            folder: the version as `pack` made it.
            card: its model card.
            judge: may be called several times, and for the versions of others.

        Raises:
            StorageError: others keep changing the champion.
        """
        version = version_of(folder)
        candidate, stored = (version, card.model), ""
        for _ in range(ROUNDS):
            names = self.champions.names()
            base = self.champions.last(names)
            if base and base.model == candidate[1]:
                return self._ended(card.model, stored, base, Verdict(True, base.reason, base.evidence))
            verdict = _withdrawn(base, candidate[1]) or judge(candidate[0], base)
            if not verdict.accepted:
                return self._ended(card.model, stored, base, verdict)
            stored = self.store(folder, version)
            if self.champions.names() != names:
                continue
            own = self._append(base, *candidate, "publish", verdict)
            own, verdict, stands = self._compare_with_late_ones(own, names, verdict, judge)
            if stands:
                return self._ended(card.model, stored, own, verdict)
            candidate = (own.version, own.model)
        raise _too_busy(self)

    def rollback(self, version: str, reason: str) -> Publication:
        """Make a former version the champion again; nothing is deleted.

        Raises:
            ModelError: the version does not exist, or it is already the champion.
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
        """Copy the missing files of a packed version; a complete version is left alone. Returns `version`."""
        if self.place.read(f"{version}/{WHOLE}") is None:
            sync_up(Path(folder), self.place.child(version), last=WHOLE)
        return version

    def _compare_with_late_ones(
        self, own: Publication, seen: list[str], verdict: Verdict, judge: Judge
    ) -> tuple[Publication, Verdict, bool]:
        """Judge a publication against those that were written between its judging and its writing.

        Args:
            own: the publication, just written.
            seen: the names of the publications that existed when it was judged.
            verdict: the verdict by which it was written.
            judge: as in `publish`.

        Returns:
            The publication, or the one that replaced it; the verdict behind it; whether it is now the last one.
        """
        while True:
            names = self.champions.names()
            if names[-1] != own.name:
                return own, verdict, False
            for name in [name for name in names if name not in (*seen, own.name)]:
                rival = self.champions.read(name)
                if rival.model == own.model:
                    continue
                against = judge(own.version, rival)
                if not against.accepted:
                    reason = f"{rival.version} was published at the same moment, and {against.reason}"
                    verdict = Verdict(False, reason, against.evidence)
                    own = self._append(own, rival.version, rival.model, "yield", verdict)
                    break
            else:
                return own, verdict, True
            seen = names

    def _ended(self, model: str, stored: str, champion: Publication | None, verdict: Verdict) -> PublishResult:
        self._point()
        return PublishResult(champion is not None and champion.model == model, stored, champion, verdict)

    def _append(
        self,
        base: Publication | None,
        version: str,
        model: str,
        action: Literal["publish", "rollback", "yield"],
        why: Verdict,
    ) -> Publication:
        withdrawn = {**(base.withdrawn if base else {})}
        if base and action == "rollback":
            withdrawn[base.model] = f"on {now()[:10]} ('{why.reason}')"
        withdrawn.pop(model, None)
        done = Publication(
            serial=base.serial + 1 if base else 1,
            version=version,
            model=model,
            action=action,
            replaces=base.version if base else "",
            replaced_model=base.model if base else "",
            reason=why.reason,
            withdrawn=withdrawn,
            evidence=why.evidence,
            time=now(),
        ).sealed()
        self.place.write(done.name, done.content())
        return done

    def _point(self) -> None:
        """Make `champion.json` repeat the last publication, even if several publishers do so at once."""
        for _ in range(ROUNDS):
            champion, found = self.champion(), self.place.read(POINTER)
            if champion is None or (found and found[0] == champion.content()):
                return
            self.place.write(POINTER, champion.content(), only_over=found[1] if found else "")


def _withdrawn(base: Publication | None, model: str) -> Verdict | None:
    """Return the refusal of a model that a person rolled back from."""
    why = base.withdrawn.get(model, "") if base else ""
    return Verdict(False, f"it was rolled back {why}, and only a person puts it back") if why else None


def _too_busy(registry: ModelStore) -> StorageError:
    return StorageError(f"{registry} has too many publishers at once: run it again when the others have ended.")


def model_names(models: Location) -> list[str]:
    """Return the names under which models were published at `models`."""
    parts = [entry.name.split("/") for entry in models.entries()]
    published = [part for part in parts if part[1:] == [POINTER] or serial_of("/".join(part[1:])) is not None]
    return sorted({part[0] for part in published})
