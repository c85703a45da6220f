"""Reading of a model's publications and `champion.json`, which are checked against each other to detect damage."""

from histoforge.core.errors import ModelError
from histoforge.core.progress import say
from histoforge.models.publications import FOLDER, Publication, parse_publication, serial_of
from histoforge.storage import Location

POINTER = "champion.json"


class Champions:
    """The publications below the location of a model.

    `champion.json` is written after the publication that it repeats, so it may be behind the publications but never
    ahead of them.
    """

    def __init__(self, place: Location) -> None:
        self.place = place

    def names(self) -> list[str]:
        """Return the names of the files of all publications, in order.

        Raises:
            ModelError: the publication that `champion.json` repeats is missing.
        """
        pointed = self._pointed()
        names = self._listed()
        if pointed is not None and pointed.name not in names:
            raise ModelError(
                f"{self.place}/{pointed.name} is missing, and {self.place}/{POINTER} holds the same: copy {POINTER} to "
                "that name."
            )
        return names

    def read(self, name: str) -> Publication:
        """Read the publication in a file.

        Raises:
            ModelError: it is damaged or missing.
        """
        found = self.place.read(name)
        publication = parse_publication(found[0]) if found else None
        if publication is not None and publication.name == name:
            return publication
        pointed, file = self._pointed(), f"{self.place}/{name}"
        if pointed is not None and pointed.name == name:
            raise ModelError(f"{file} is damaged, and {self.place}/{POINTER} holds the same: copy {POINTER} over it.")
        raise ModelError(f"{file} is damaged: bring it back from a backup, or remove it{self._without(name)}.")

    def last(self, names: list[str]) -> Publication | None:
        """Return the last publication of `names`; None if there are none."""
        return self.read(names[-1]) if names else None

    def _listed(self) -> list[str]:
        names = [f"{FOLDER}/{entry.name}" for entry in self.place.child(FOLDER).entries()]
        return sorted((name for name in names if serial_of(name) is not None), key=lambda name: (serial_of(name), name))

    def _pointed(self) -> Publication | None:
        """Return the publication that `champion.json` repeats; None if there is none yet.

        Raises:
            ModelError: it is damaged, and there are no publications to restore it from.
        """
        found = self.place.read(POINTER)
        publication = parse_publication(found[0]) if found else None
        if found and publication is None:
            if not self._listed():
                raise ModelError(
                    f"{self.place}/{POINTER} is damaged, and what it repeats is missing in {self.place}/{FOLDER}: "
                    "bring both back from a backup, or publish under another name."
                )
            say(f"{self.place}/{POINTER} is damaged: the next publication or rollback writes it anew.")
        return publication

    def _without(self, name: str) -> str:
        """Describe the consequences of removing a damaged publication."""
        names = self._listed()
        if name != names[-1] or len(names) < 2:
            return "" if len(names) > 1 else f" with {POINTER} to begin afresh"
        found = self.place.read(names[-2])
        before = parse_publication(found[0]) if found else None
        return f", which makes {before.version} the champion again" if before is not None else ""
