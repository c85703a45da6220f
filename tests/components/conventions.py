"""The form of `metadata.yaml` and `OWNERS` in kubeflow/pipelines-components.

Written after `scripts/validate_metadata/validate_metadata.py` and `docs/CONTRIBUTING.md` of that repository at
fab64a9f35eebe0f18166ddd444931d2acd7433e (2026-07-23).
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, field_validator, model_validator

REQUIRED = ["name", "stability", "dependencies", "lastVerified"]
"""In this order, optional fields left out of account."""

OPTIONAL = {"tags", "ci", "links"}
VERSION = r"^(>=|<=|==)?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Dependency(Form):
    name: StrictStr
    version: Annotated[StrictStr, Field(pattern=VERSION)]


class Dependencies(Form):
    kubeflow: list[Dependency]
    external_services: list[Dependency] | None = None

    @field_validator("kubeflow")
    @classmethod
    def _pipelines_among_them(cls, value: list[Dependency]) -> list[Dependency]:
        if all(dependency.name != "Pipelines" for dependency in value):
            raise ValueError("the dependency 'Pipelines' is missing")
        return value


class Ci(Form):
    skip_dependency_probe: StrictBool | None


class Metadata(Form):
    """The content of a `metadata.yaml`."""

    name: StrictStr
    stability: Literal["experimental", "alpha", "beta", "stable"]
    dependencies: Dependencies
    tags: list[StrictStr] | None = None
    lastVerified: datetime
    ci: Ci | None = None
    links: dict[str, str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, values: dict) -> dict:
        if [name for name in values if name not in OPTIONAL] != REQUIRED:
            raise ValueError(f"expected the fields {REQUIRED} in this order")
        if not isinstance(values["lastVerified"], datetime) or values["lastVerified"].tzinfo is None:
            raise ValueError("lastVerified must be written as YYYY-MM-DDT00:00:00Z")
        return values

    def verified_within_a_year(self, today: datetime) -> bool:
        """Return whether the repository would still take it: it removes components after a year."""
        return abs(today - self.lastVerified.astimezone(UTC)) < timedelta(days=365)


class Owners(Form):
    approvers: Annotated[list[StrictStr], Field(min_length=1)]
    reviewers: list[StrictStr] | None = None
