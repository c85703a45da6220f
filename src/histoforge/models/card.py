"""The model card: the content of a published model, its training data, its scores, and its intended use and limits."""

from typing import Any

from pydantic import Field

from histoforge import __version__
from histoforge.core.settings import Settings
from histoforge.core.text import dimensions

CARD_NAME = "model_card.json"
README_NAME = "README.md"


class CardScore(Settings):
    """A score on the test split and its bootstrap interval over patients; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


class ModelCard(Settings):
    """The content of `model_card.json`.

    Attributes:
        name: the name under which the model is published.
        kind: what it does, such as 'classifier'.
        form: 'arm' (one classifier per seed) or 'classifier' (a single classifier).
        arm: the arm that it was trained as.
        method: the backbone.
        seeds: seeds of its classifiers.
        classes: class names; a label is an index in this list.
        patch_size: height and width, px.
        mpp: micrometres per pixel, or None.
        model: SHA-256 over the names and digests of the model's files.
        digests: identities of its training data (patches, source, synthetic, weights).
        unit: what the intervals are computed over: 'patients', or 'slides' or 'images' if the source names no patients.
        patches, units: counts by split and class name; units also by '' for all classes together.
        synthetic: number of synthetic training patches by class name.
        presets: settings that it was trained with, by name.
        config: the settings of its training.
        confidence: coverage of the intervals.
        scores: scores on the test split, means over the seeds.
        extractors: networks whose features evaluated its synthetic patches.
        audit: the verdict of the memorisation audit; '' if there were no synthetic patches.
        licences: licences of the model, the data and the code.
        intended_use: the use that it is meant for.
        limits: uses that it is not meant for and facts that are not known about it, one sentence each.
        seen: digests of the patients (slides, images) that it was trained and validated on; it is compared with later
            challengers on other patients.
        code_version: version of histoforge.
    """

    schema_version: int = 1
    name: str
    kind: str
    form: str
    arm: str
    method: str
    seeds: list[int]
    classes: list[str]
    patch_size: tuple[int, int]
    mpp: float | None
    model: str
    digests: dict[str, str]
    unit: str
    patches: dict[str, dict[str, int]]
    units: dict[str, dict[str, int]]
    synthetic: dict[str, int] = Field(default_factory=dict)
    presets: list[str] = Field(default_factory=list)
    config: dict[str, Any] = Field(default_factory=dict)
    confidence: float
    scores: dict[str, CardScore]
    extractors: list[str] = Field(default_factory=list)
    audit: str = ""
    licences: dict[str, str]
    intended_use: str
    limits: list[str]
    seen: list[str] = Field(default_factory=list)
    code_version: str = __version__

    def as_markdown(self) -> str:
        """Return the card as a Markdown page."""
        size = dimensions(self.patch_size)
        mpp = "of unknown resolution" if self.mpp is None else f"at {self.mpp:g} um/px"
        seeds = f"{len(self.seeds)} classifiers, seeds {', '.join(map(str, self.seeds))}"
        lines = [
            f"# {self.name}",
            "",
            f"Classifies patches of {size} px {mpp} as {', '.join(self.classes)}: {self.method}, arm '{self.arm}' "
            f"({seeds}), model {self.model[:16]}, histoforge {self.code_version}.",
            *_section("Intended use", [self.intended_use]),
            *_section("Limits", [f"- {text}" for text in self.limits]),
            *_section(f"Scores on the test split ({self.confidence:.0%} intervals over {self.unit})", self._scores()),
            *_section(f"Data: patches ({self.unit})", self._data()),
            *_section("Synthetic patches", self._synthetic()),
            *_section("Trained with", [f"Preset: {', '.join(self.presets) or 'not stated'}.", *self._settings()]),
            *_section("Digests", [f"- {name}: `{digest}`" for name, digest in self.digests.items()]),
            *_section("Licences", [f"- {subject}: {licence}" for subject, licence in self.licences.items()]),
        ]
        return "\n".join(lines) + "\n"

    def _scores(self) -> list[str]:
        rows = [f"| {name} | {_number(s.value)} | {_number(s.low)} to {_number(s.high)} |" for name, s in self._known()]
        return ["| score | mean over seeds | interval |", "| --- | ---: | ---: |", *rows]

    def _known(self) -> list[tuple[str, CardScore]]:
        return [(name.replace("_", " "), score) for name, score in self.scores.items() if score.value is not None]

    def _data(self) -> list[str]:
        head = ["| split | " + " | ".join(self.classes) + " |", "| --- |" + " ---: |" * len(self.classes)]
        rows = []
        for split, counts in self.patches.items():
            units = self.units.get(split, {})
            rows.append(
                f"| {split} | "
                + " | ".join(f"{counts.get(name, 0)} ({units.get(name, 0)})" for name in self.classes)
                + " |"
            )
        return [*head, *rows]

    def _synthetic(self) -> list[str]:
        if not self.synthetic:
            return ["None."]
        counted = ", ".join(f"{count} {name}" for name, count in self.synthetic.items())
        extractors = ", ".join(self.extractors) or "none"
        return [f"{counted}. {self.audit}", "", f"Evaluated with the features of: {extractors}."]

    def _settings(self) -> list[str]:
        return ["", ", ".join(f"{name} {value}" for name, value in self.config.items() if value != "")]


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
