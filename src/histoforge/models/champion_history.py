"""The history of a model's champions, checked against `champion.json` so that a damaged or lost file is noticed."""

from histoforge.core.errors import ModelError
from histoforge.core.progress import say
from histoforge.models.publications import FOLDER, Publication, parse_publication, serial_of
from histoforge.storage import Location

POINTER = "champion.json"


class ChampionHistory:
    """The publications of one model, each a file in the folder `champions`.

    `champion.json` repeats the last publication and is written after it, so it may be behind the history but never
    ahead of it.

    Args:
        location: the location of the model.
    """

    def __init__(self, location: Location) -> None:
        self.location = location

    def names(self) -> list[str]:
        """Return the names of the files of all publications, in order.

        Raises:
            ModelError: the publication that `champion.json` repeats is missing.
        """
        repeated = self._repeated()
        names = self._list()
        if repeated is not None and repeated.name not in names:
            raise ModelError(
                f"{self.location}/{repeated.name} is missing: copy {self.location}/{POINTER}, which has the same "
                "content, to that name."
            )
        return names

    def read(self, name: str) -> Publication:
        """Read the publication in the file `name`.

        Raises:
            ModelError: the file is damaged or missing.
        """
        publication = self._parse(name)
        if publication is not None and publication.name == name:
            return publication
        repeated, path = self._repeated(), f"{self.location}/{name}"
        if repeated is not None and repeated.name == name:
            raise ModelError(f"{path} is damaged: copy {self.location}/{POINTER}, which has the same content, over it.")
        raise ModelError(f"{path} is damaged: restore it from a backup, or delete it{self._effect_of_deleting(name)}.")

    def last(self, names: list[str]) -> Publication | None:
        """Return the last publication of `names`; None if there are none."""
        return self.read(names[-1]) if names else None

    def _list(self) -> list[str]:
        names = [f"{FOLDER}/{entry.name}" for entry in self.location.child(FOLDER).entries()]
        return sorted((name for name in names if serial_of(name) is not None), key=lambda name: (serial_of(name), name))

    def _parse(self, name: str) -> Publication | None:
        file = self.location.read(name)
        return parse_publication(file[0]) if file else None

    def _repeated(self) -> Publication | None:
        """Return the publication that `champion.json` repeats; None if there is none yet.

        Raises:
            ModelError: the file is damaged, and there are no publications to restore it from.
        """
        publication = self._parse(POINTER)
        if publication is None and self.location.read(POINTER):
            if not self._list():
                raise ModelError(
                    f"{self.location}/{POINTER} is damaged, and the publication that it repeats is missing in "
                    f"{self.location}/{FOLDER}: restore both from a backup, or publish under another name."
                )
            say(f"{self.location}/{POINTER} is damaged: the next publication or rollback rewrites it.")
        return publication

    def _effect_of_deleting(self, name: str) -> str:
        """Describe the effect of deleting a damaged publication."""
        names = self._list()
        if name != names[-1] or len(names) < 2:
            return "" if len(names) > 1 else f" with {POINTER} to start over"
        previous = self._parse(names[-2])
        return f", which makes {previous.version} the champion again" if previous is not None else ""
