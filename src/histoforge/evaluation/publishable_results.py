"""Read what `publish_model` needs from a `metrics.json`, of this or an earlier version of its schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from histoforge.core.documents import read_json
from histoforge.core.errors import SourceError
from histoforge.evaluation.findings import InputDigests
from histoforge.evaluation.result_records import SCHEMA_VERSION, Record


class AuditDecision(Record):
    """The fields of the memorisation audit that decide whether a model is published."""

    extractor: str = ""
    copied: bool = True
    enough: bool = False
    verdict: str = ""


class _Models(Record):
    models: list[str]


class _ArmModels(Record):
    training: _Models


class _Extractor(Record):
    extractor: str


class _Answer(Record):
    caveats: list[str] = Field(default_factory=list)


class PublishableResults(Record):
    """The part of `EvaluationResults` that `publish_model` reads."""

    inputs: InputDigests
    arms: dict[str, _ArmModels]
    generative: list[_Extractor]
    memorisation: AuditDecision | None = None
    warnings: list[str] = Field(default_factory=list)
    answer: _Answer = _Answer()

    @property
    def cautions(self) -> list[str]:
        """The warnings of the evaluation, the most serious first."""
        return [*self.answer.caveats, *self.warnings]

    @property
    def models(self) -> set[str]:
        """Digests of the evaluated classifiers."""
        return {model for arm in self.arms.values() for model in arm.training.models}

    @property
    def extractors(self) -> list[str]:
        """Names of the extractors with which synthetic patches were compared, sorted."""
        audit = [self.memorisation.extractor] if self.memorisation else []
        return sorted({*(row.extractor for row in self.generative), *filter(None, audit)})


def read_results(path: Path) -> PublishableResults:
    """Return the part of a `metrics.json` that `publish_model` reads.

    Raises:
        SourceError: the file is not an evaluation's, or has a newer schema.
    """
    advice = "name the metrics.json that evaluate wrote"
    try:
        document = read_json(path, SourceError)
        version = int(document["schema_version"])
        if version <= SCHEMA_VERSION:
            return PublishableResults.model_validate(_upgraded(document) if version == 1 else document)
    except (SourceError, ValidationError, ValueError, TypeError, KeyError, AttributeError):
        raise SourceError(f"{path} contains no results of an evaluation: {advice}.") from None
    raise SourceError(
        f"{path} has schema {version}, newer than {SCHEMA_VERSION}, which this version reads: upgrade histoforge."
    )


def _upgraded(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of version 1 with the `inputs` of version 2, read from the labels that version 1 wrote."""
    provenance = document["provenance"]
    inputs = {
        "patches": provenance["Real patches"],
        "candidates": provenance.get("Candidates", ""),
        "selected": provenance.get("Selected patches", ""),
        "generator": provenance.get("Generator", ""),
        "source": provenance.get("Source", ""),
    }
    return {**document, "inputs": inputs}
