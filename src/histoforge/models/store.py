"""A model's versions and its champion at a location, safe against concurrent and killed publishers.

`<models>/<name>/<version>/` never changes: its name is a digest of its files, and `version.json`, written last, marks
it as complete. Every change of the champion is a separate file in `<models>/<name>/champions/`; the last one names
the champion, and `<models>/<name>/champion.json` repeats it. A damaged or missing file is an error: it never brings
back an earlier champion.

Publishers agree without conditional writes, which not every S3 server supports: each writes its publication and then
lists all of them. Of two concurrent publishers, at least one sees the other's publication and compares the two.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from histoforge.core.digests import digest_file
from histoforge.core.documents import known_shape, parse_json, parse_model
from histoforge.core.errors import ModelError, StorageError
from histoforge.core.settings import nearest
from histoforge.models.card import CARD_NAME, ModelCard
from histoforge.models.champion_history import POINTER, ChampionHistory
from histoforge.models.publications import Action, Publication, Verdict, serial_of
from histoforge.models.versions import COMPLETE, MODEL, version_name, version_of
from histoforge.storage import Location

ATTEMPTS = 25

Gate = Callable[[str, Publication | None], Verdict]
"""Decides whether a version may replace a champion (None if there is none)."""


@dataclass(frozen=True)
class PublishResult:
    """The result of an attempt to publish.

    Attributes:
        published: True if the challenger is the champion.
        version: the challenger's version; '' if it was rejected before it was stored.
        champion: the current publication; None if there is no champion.
        verdict: the verdict that decided.
    """

    published: bool
    version: str
    champion: Publication | None
    verdict: Verdict


class ModelStore:
    """The versions and the champion of the model `name` below `models`.

    All methods raise StorageError if the location denies access or does not respond.
    """

    def __init__(self, models: Location, name: str) -> None:
        self.models, self.name = models, name
        self.location = models.child(name)
        self._history = ChampionHistory(self.location)

    def __str__(self) -> str:
        return str(self.location)

    def versions(self) -> list[str]:
        """Return the names of the complete versions."""
        suffix = f"/{COMPLETE}"
        names = [entry.name for entry in self.location.entries()]
        return [name.removesuffix(suffix) for name in names if name.endswith(suffix) and name.count("/") == 1]

    def history(self) -> list[Publication]:
        """Return all changes of the champion, from first to last.

        Raises:
            ModelError: the file of a change is damaged or missing.
        """
        return [self._history.read(name) for name in self._history.names()]

    def champion(self) -> Publication | None:
        """Return the last change of the champion; None if nothing was published.

        Raises:
            ModelError: its file is damaged or missing.
        """
        return self._history.last(self._history.names())

    def card(self, version: str) -> ModelCard:
        """Return the model card of a version.

        Raises:
            ModelError: the version does not exist, or it is damaged.
        """
        file_list = self.location.read(f"{version}/{COMPLETE}")
        if file_list is None:
            versions = self.versions()
            listed = ", ".join(versions) or "none"
            raise ModelError(f"{self} has no version '{version}'{nearest(version, versions)}: choose one of {listed}.")
        remedy, path = self._remedy(version), f"{self}/{version}/{CARD_NAME}"
        expected = self._file_digests(version, file_list[0]).get(CARD_NAME, "")
        file = self.location.read_hashed(f"{version}/{CARD_NAME}", expected)
        if file is None:
            raise ModelError(f"{path} is missing: {remedy}.")
        if file[1] != expected:
            raise ModelError(f"{path} differs from the published file: {remedy}.")
        return parse_model(ModelCard, file[0], path, ModelError, remedy)

    def fetch(self, version: str, folder: Path) -> Path:
        """Copy a version to the new directory `folder` and verify it; return the path of the model in it.

        An earlier version in `folder` is replaced only after the new one is verified.

        Raises:
            ModelError: the version does not exist, or a file differs from the published one.
        """
        self.card(version)
        self.location.child(version).get_tree(Path(folder), lambda copy: self._verify(version, copy))
        return Path(folder) / MODEL

    def _verify(self, version: str, copy: Path) -> None:
        for name, digest in self._file_digests(version, (copy / COMPLETE).read_bytes()).items():
            path = copy / name
            if not path.is_file() or digest_file(path) != digest:
                raise ModelError(f"{self}/{version}/{name} differs from the published file: {self._remedy(version)}.")

    def _file_digests(self, version: str, content: bytes) -> dict[str, str]:
        """Return the digests in `content`, the list of a version's files, from which the version has its name."""
        path, remedy = f"{self}/{version}/{COMPLETE}", self._remedy(version)
        with known_shape(path, ModelError, remedy):
            digests = {str(name): str(digest) for name, digest in parse_json(content)["files"].items()}
        if version != version_name(digests):
            raise ModelError(f"{path} differs from the published file: {remedy}.")
        return digests

    def _remedy(self, version: str) -> str:
        """Describe the remedies for a damaged version."""
        other_versions = [other for other in self.versions() if other != version]
        return (
            f"roll back to another version ({', '.join(other_versions)})"
            if other_versions
            else "restore it from a backup"
        )

    def publish(self, folder: Path, card: ModelCard, gate: Gate) -> PublishResult:
        """Make a model the champion if `gate` accepts it, even while others publish at the same time.

        The challenger is checked against the champion, stored, and appended to the history. Then the history is read
        again: the challenger must also pass against every publication that was added meanwhile, or else it yields to
        that one, which from then on is treated like the challenger.

        Args:
            folder: the version as `pack` made it.
            card: its model card.
            gate: may be called several times, and for the versions of others.

        Raises:
            StorageError: others keep changing the champion.
        """
        challenger = version_of(folder)
        version, model, stored = challenger, card.model, ""
        verdict = Verdict(False, "")
        compared: set[str] | None = None
        for _ in range(ATTEMPTS):
            names = self._history.names()
            champion = self._history.last(names)
            if champion is None or champion.model != model:
                verdict = _check(gate, version, model, champion)
                if not verdict.accepted:
                    return self._result(card, stored, champion, verdict)
                stored = self.upload(folder, challenger)
                if self._history.names() == names:
                    added = self._append(champion, version, model, "publish", verdict)
                    compared = {*names, added.name}
                continue
            if compared is None:
                return self._result(card, stored, champion, Verdict(True, champion.reason, champion.evidence))
            better = self._better_rival(gate, version, model, names, compared)
            if better is None:
                return self._result(card, stored, champion, verdict)
            rival, rejection = better
            version, model = rival.version, rival.model
            reason = f"{version} was published at the same time, and {rejection.reason}"
            verdict = Verdict(False, reason, rejection.evidence)
            compared.add(self._append(champion, version, model, "yield", verdict).name)
        raise _too_busy(self)

    def rollback(self, version: str, reason: str) -> Publication:
        """Make a former version the champion again; nothing is deleted.

        Raises:
            ModelError: the version does not exist, or it is already the champion.
            StorageError: others keep changing the champion.
        """
        card = self.card(version)
        for _ in range(ATTEMPTS):
            champion = self.champion()
            if champion is not None and champion.version == version:
                raise ModelError(f"{version} is already the champion of {self.name}: name another version.")
            publication = self._append(champion, version, card.model, "rollback", Verdict(True, reason))
            if self.champion() == publication:
                self._update_pointer()
                return publication
        raise _too_busy(self)

    def upload(self, folder: Path, version: str) -> str:
        """Copy the missing files of a packed version; a complete version is left alone. Return `version`."""
        if self.location.read(f"{version}/{COMPLETE}") is None:
            self.location.child(version).put_tree(Path(folder), last=COMPLETE)
        return version

    def _better_rival(
        self, gate: Gate, version: str, model: str, names: list[str], compared: set[str]
    ) -> tuple[Publication, Verdict] | None:
        """Return the first publication not in `compared` that a version may not replace, with the verdict, or None.

        Each publication is compared once, so that two equal versions cannot yield to each other forever.
        """
        for name in (name for name in names if name not in compared):
            compared.add(name)
            rival = self._history.read(name)
            if rival.model != model and not (verdict := _check(gate, version, model, rival)).accepted:
                return rival, verdict
        return None

    def _result(self, card: ModelCard, stored: str, champion: Publication | None, verdict: Verdict) -> PublishResult:
        self._update_pointer()
        return PublishResult(champion is not None and champion.model == card.model, stored, champion, verdict)

    def _append(
        self, champion: Publication | None, version: str, model: str, action: Action, verdict: Verdict
    ) -> Publication:
        publication = Publication.after(champion, version, model, action, verdict)
        self.location.write(publication.name, publication.content())
        return publication

    def _update_pointer(self) -> None:
        """Make `champion.json` repeat the last publication, even if several publishers do so at once."""
        for _ in range(ATTEMPTS):
            champion, file = self.champion(), self.location.read(POINTER)
            if champion is None or (file and file[0] == champion.content()):
                return
            self.location.write(POINTER, champion.content(), only_over=file[1] if file else "")


def _check(gate: Gate, version: str, model: str, champion: Publication | None) -> Verdict:
    """Apply the gate, unless a person rolled back from the model."""
    if champion and (reason := champion.withdrawn.get(model)):
        return Verdict(False, f"it was rolled back {reason}, and only 'models rollback' can restore it")
    return gate(version, champion)


def _too_busy(store: ModelStore) -> StorageError:
    return StorageError(f"{store} has too many concurrent publishers: run this command again when they have finished.")


def model_names(models: Location) -> list[str]:
    """Return the names under which models were published at `models`."""
    paths = [entry.name.partition("/") for entry in models.entries()]
    return sorted({name for name, _, path in paths if path == POINTER or serial_of(path) is not None})
