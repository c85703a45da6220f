"""The settings that imports of synthetic patches and of generators have in common. Imports nothing heavy."""

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field, model_validator

from histoforge.core.settings import StepConfig
from histoforge.ingest.config import names


class ImportConfig(StepConfig):
    """What the user states about something that somebody else made."""

    name: str = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9_]{0,19})?$",
        description="short name, for arms and tables; '' for that of origin.yaml, or the folder's",
    )
    class_map: str = Field(
        "",
        pattern=r"^([^,=]+=[^,=]+(,[^,=]+=[^,=]+)*)?$",
        description="real classes of the source's classes whose names differ: 'tumor=tumour, norm=normal'; upper and "
        "lower case are the same",
    )
    source_mpp: float = Field(
        0.0,
        ge=0,
        le=50,
        description="resolution of the images; 0 for the one that the source states",
        json_schema_extra={"unit": "um/px"},
    )
    fit: Literal["crop", "shrink"] = Field(
        "crop",
        description="'crop' resizes an image to the resolution of the real patches and takes its centre; 'shrink' "
        "resizes its largest centred part to a patch, whatever its resolution",
    )
    origin: str = Field("", max_length=500, description="who made it, and with what; '' for that of origin.yaml")
    licence: str = Field("", max_length=200, description="licence of the images; '' for that of origin.yaml")

    @model_validator(mode="after")
    def _one_class_each(self) -> Self:
        if name := mapped_twice(pair.split("=")[0].strip() for pair in names(self.class_map)):
            raise ValueError(f"class_map maps '{name}' twice: leave one of the two out")
        return self

    @property
    def mapping(self) -> dict[str, str]:
        """The real class of each of the source's classes that `class_map` names."""
        pairs = (pair.split("=") for pair in names(self.class_map))
        return {theirs.strip(): ours.strip() for theirs, ours in pairs}


def mapped_twice(sources: Iterable[str]) -> str:
    """Return the first class of a source that is mapped twice, upper and lower case being the same; '' if none is."""
    seen = set[str]()
    for name in sources:
        if name.casefold() in seen:
            return name
        seen.add(name.casefold())
    return ""
