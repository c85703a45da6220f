"""Records and pictures of earlier steps: the generator's history and samples, and the slides with their grids."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histoforge.core.documents import known_shape, read_json
from histoforge.core.errors import ModelError, PatchSetError
from histoforge.core.seals import file_below
from histoforge.evaluation.findings import PictureFile
from histoforge.generators.history_file import FILE_NAME, read_history

ADVICE, PICTURES_ADVICE = "train the generator again", "make the patch set again"
NOT_CURVES = ("epoch", "step", "seconds")
Curve = tuple[list[float], list[float]]


@dataclass(frozen=True)
class GeneratorRecord:
    """The record of a generator's training, read from its directory.

    Attributes:
        curves: series by name; named 'class: series' for the classes of a class-wise method.
        chosen_epochs: the selected epoch by class, with '' for all classes.
        pictures: samples and attention maps.
        facts: how the epoch was selected, and with which extractor.
    """

    curves: dict[str, Curve] = field(default_factory=dict)
    chosen_epochs: dict[str, int] = field(default_factory=dict)
    pictures: list[PictureFile] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def generator_record(path: Path) -> GeneratorRecord:
    """Return the curves and pictures stored beside a generator; empty if there are none."""
    found = GeneratorRecord()
    history = read_history(Path(path), ADVICE)
    with known_shape(Path(path) / FILE_NAME, ModelError, ADVICE):
        _take(history, Path(path), found)
    return found


def _take(history: dict[str, Any], path: Path, found: GeneratorRecord) -> None:
    for name, own in history.get("by_class", {"": history}).items():
        prefix = f"{name}: " if name else ""
        found.curves.update({prefix + series: curve for series, curve in _curves(own.get("epochs", [])).items()})
        if own.get("chosen_epoch") is not None:
            found.chosen_epochs[name] = own["chosen_epoch"]
        found.pictures.extend(_generator_pictures(path, own))
        found.facts.update({key: value for key, value in own.items() if key not in ("epochs", "pictures")})
    if "by_class" in history:
        found.facts.update({"classes": history["classes"], "chosen_epoch": found.chosen_epochs})


def _curves(rows: list[dict[str, Any]]) -> dict[str, Curve]:
    curves = {}
    for name in dict.fromkeys(name for row in rows for name in row if name not in NOT_CURVES):
        points = [(float(row["epoch"]), float(row[name])) for row in rows if row.get(name) is not None]
        if points:
            curves[name] = ([x for x, _ in points], [y for _, y in points])
    return curves


def slide_pictures(overviews: Path, most: int) -> list[PictureFile]:
    """Return at most `most` pictures of slides with tissue, regions and grid."""
    folder = Path(overviews) / "pictures"
    file = folder / "pictures.json"
    entries = read_json(file, PatchSetError, PICTURES_ADVICE) if file.is_file() else []
    with known_shape(file, PatchSetError, PICTURES_ADVICE):
        shown = [(file_below(folder, str(entry.get("picture", ""))), entry) for entry in entries]
        found = [PictureFile(path, f"Slide {entry['slide']}", _slide_text(entry)) for path, entry in shown if path]
    return found[:most]


def _generator_pictures(path: Path, history: dict[str, Any]) -> list[PictureFile]:
    """Return the samples of the first and the selected epoch, and the attention maps."""
    chosen, classes = history.get("chosen_epoch"), ", ".join(history.get("classes", []))
    by_epoch = {int(epoch): name for epoch, name in history.get("pictures", {}).items()}
    pictures: list[tuple[str, str, str]] = []
    for epoch in sorted({*list(by_epoch)[:1], *([chosen] if chosen in by_epoch else [])}):
        kept = " (kept)" if epoch == chosen else ""
        text = f"Samples after epoch {epoch}{kept}, a row a class ({classes}), from the same noise in all epochs."
        pictures.append((by_epoch[epoch], f"Grid of synthetic patches after epoch {epoch}", text))
    if history.get("attention"):
        text = (
            f"Synthetic patches ({classes}) and, below each, where the generator's self-attention after stage 1 looks "
            "most: warm colours. Maps that follow nuclei and gland borders speak for learnt structure, flat ones "
            "against it."
        )
        pictures.append((history["attention"], "Synthetic patches with their attention maps", text))
    shown = [(file_below(path, name), title, text) for name, title, text in pictures]
    return [PictureFile(file, title, text) for file, title, text in shown if file is not None]


def _slide_text(entry: dict[str, Any]) -> str:
    """Return such a text as 's1, patient p1: 120 normal, 80 tumour patches; tissue on 34% of the slide; 0.5 um/px.'"""
    patient = f", patient {entry['patient']}" if entry.get("patient") else ""
    patches = ", ".join(f"{count:,} {name}" for name, count in entry.get("patches", {}).items() if count)
    parts = [f"{patches or 'no'} patches"]
    if entry.get("tissue") is not None:
        parts.append(f"tissue on {entry['tissue']:.0%} of the slide")
    if entry.get("mpp"):
        parts.append(f"{entry['mpp']:.3g} um/px")
    return f"{entry['slide']}{patient}: {'; '.join(parts)}."
