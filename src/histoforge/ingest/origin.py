"""What is known about the origin of something that somebody else made: stated beside it, or by the user."""

import re
from pathlib import Path

from pydantic import Field, ValidationError

from histoforge.core.documents import read_yaml
from histoforge.core.errors import SourceError
from histoforge.core.settings import Settings, nearest
from histoforge.core.validation import sentence_of
from histoforge.ingest.import_config import ImportConfig, mapped_twice
from histoforge.storage import Entry, Location

ORIGIN = "origin.yaml"


class Origin(Settings):
    """Where synthetic images or a generator come from, as `origin.yaml` beside them states it; each entry is optional.

    Attributes:
        name: a short name, used for arms and tables.
        origin: who made them, and with what.
        licence: their licence.
        mpp: their resolution, um/px; 0 if unknown.
        classes: the real class of each of their classes whose name differs.
    """

    name: str = ""
    origin: str = ""
    licence: str = ""
    mpp: float = Field(0.0, ge=0, le=50, strict=True)
    classes: dict[str, str] = Field(default_factory=dict)

    def with_settings(self, config: ImportConfig, location: str) -> "Origin":
        """Return the same, with what the user states in its place, and a name in any case."""
        given = {"name": config.name, "origin": config.origin, "licence": config.licence, "mpp": config.source_mpp}
        changes = {name: value for name, value in given.items() if value}
        origin = self.model_copy(update={**changes, "classes": self.classes | config.mapping})
        return origin.model_copy(update={"name": short_name(origin.name or location)})

    @property
    def stated(self) -> dict[str, str]:
        """Name, origin and licence, as they are recorded."""
        return {"name": self.name, "origin": self.origin, "licence": self.licence}

    @property
    def warnings(self) -> list[str]:
        """A warning if origin or licence is missing."""
        missing = [name for name in ("origin", "licence") if not getattr(self, name)]
        text = f"The source states no {' and no '.join(missing)}: write them into {ORIGIN} beside it."
        return [text] if missing else []


def read_origin(location: Location, entries: list[Entry], temporary: Path) -> Origin:
    """Return the content of `origin.yaml` at a location; an empty one without that file.

    Raises:
        SourceError: the file cannot be used.
    """
    if not any(entry.name == ORIGIN for entry in entries):
        return Origin()
    name, advice = f"{location}/{ORIGIN}", "write lines such as 'mpp: 0.5' and 'licence: CC-BY-4.0'"
    with location.fetched(ORIGIN, temporary) as path:
        values = read_yaml(path, SourceError, advice)
    if not isinstance(values, dict):
        raise SourceError(f"{name} has no entries: {advice}.")
    for entry in values:
        if entry not in Origin.model_fields:
            hint = nearest(str(entry), Origin.model_fields)
            raise SourceError(f"{name} has the entry '{entry}'{hint}: give {', '.join(Origin.model_fields)}.")
    try:
        origin = Origin.model_validate(values)
    except ValidationError as error:
        raise SourceError(f"{name}: {sentence_of(error, Origin)}; {advice}.") from None
    if repeated := mapped_twice(origin.classes):
        raise SourceError(f"{name} maps the class '{repeated}' twice: leave one of the two out.")
    return origin


def short_name(text: str) -> str:
    """Return the last part of a location as a name: lower-case letters, digits and '_', 20 at most."""
    last = text.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_")[:20].strip("_") or "synthetic"
