"""Records and pictures of earlier steps: the generator's history and samples, and the slides with their grids."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histoforge.classifiers.arm_files import NETWORKS, seed_directory
from histoforge.core.documents import known_shape, read_json
from histoforge.core.errors import ModelError, PatchSetError
from histoforge.core.seals import file_below
from histoforge.evaluation.arm_inputs import ArmPart
from histoforge.evaluation.findings import NetworkRecord, PictureFile
from histoforge.generators.history_file import FILE_NAME, read_history

ADVICE, PICTURES_ADVICE = "train the generator again", "make the patch set again"
NOT_CURVES = ("epoch", "step", "seconds")
NOT_CHOICE = ("epochs", "pictures", "warnings")
Curves = dict[str, tuple[list[float], list[float]]]
"""Epochs and values by the name of the series; series of a class-wise method are named 'class: series'."""


@dataclass(frozen=True)
class GeneratorRecord:
    """The record of a generator's training, read from its directory.

    Attributes:
        curves: the series of its history.
        chosen_epochs: the selected epoch by class, with '' for all classes.
        pictures: samples and attention maps.
        choice: how the epoch was selected, and with which extractor.
        notes: why pixel statistics selected an epoch instead of the extractor, and warnings of the training, one
            sentence each.
    """

    curves: Curves = field(default_factory=dict)
    chosen_epochs: dict[str, int] = field(default_factory=dict)
    pictures: list[PictureFile] = field(default_factory=list)
    choice: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def generator_record(path: Path) -> GeneratorRecord:
    """Return the curves and pictures stored beside a generator; empty if there are none."""
    history = read_history(Path(path), ADVICE)
    with known_shape(Path(path) / FILE_NAME, ModelError, ADVICE):
        return _record(history, Path(path))


def network_records(arm: ArmPart) -> list[NetworkRecord]:
    """Return the records of networks that draw and classify, which `join_classifiers` stored in an arm directory."""
    records = []
    for seed in arm.seeds:
        folder = arm.path / NETWORKS / seed_directory(seed)
        if folder.is_dir():
            record = generator_record(folder)
            records.append(NetworkRecord(seed, record.curves, record.chosen_epochs.get(""), record.pictures))
    return records


def history_curves(history: Mapping[str, Any]) -> Curves:
    """Return the series of a generator's history."""
    curves: Curves = {}
    for class_name, epochs in _by_class(history).items():
        rows = epochs.get("epochs", [])
        prefix = f"{class_name}: " if class_name else ""
        for series in dict.fromkeys(name for row in rows for name in row if name not in NOT_CURVES):
            points = [(float(row["epoch"]), float(row[series])) for row in rows if row.get(series) is not None]
            if points:
                curves[prefix + series] = ([x for x, _ in points], [y for _, y in points])
    return curves


def _by_class(history: Mapping[str, Any]) -> dict[str, Any]:
    """Return the histories by class name, or under '' the single history of a method that trains one network."""
    return dict(history.get("by_class", {"": history}))


def _record(history: Mapping[str, Any], path: Path) -> GeneratorRecord:
    record = GeneratorRecord(history_curves(history))
    for class_name, epochs in _by_class(history).items():
        if epochs.get("chosen_epoch") is not None:
            record.chosen_epochs[class_name] = epochs["chosen_epoch"]
        if epochs.get("choice_note"):
            of_class = f" of '{class_name}'" if class_name else ""
            record.notes.append(f"Epoch of the generator{of_class}: {epochs['choice_note']}")
        record.notes.extend(f"Training of the generator: {text}" for text in epochs.get("warnings", []))
        record.pictures.extend(_generator_pictures(path, epochs))
        record.choice.update({key: value for key, value in epochs.items() if key not in NOT_CHOICE})
    if "by_class" in history:
        record.choice.update({"classes": history["classes"], "chosen_epoch": record.chosen_epochs})
    return record


def slide_pictures(overviews: Path, count: int) -> list[PictureFile]:
    """Return at most `count` pictures of slides with tissue, regions and grid."""
    folder = Path(overviews) / "pictures"
    file = folder / "pictures.json"
    entries = read_json(file, PatchSetError, PICTURES_ADVICE) if file.is_file() else []
    with known_shape(file, PatchSetError, PICTURES_ADVICE):
        shown = [(file_below(folder, str(entry.get("picture", ""))), entry) for entry in entries]
        pictures = [PictureFile(path, f"Slide {entry['slide']}", _slide_text(entry)) for path, entry in shown if path]
    return pictures[:count]


def _generator_pictures(path: Path, history: dict[str, Any]) -> list[PictureFile]:
    """Return the samples of the first and the selected epoch, and the attention maps."""
    chosen, classes = history.get("chosen_epoch"), ", ".join(history.get("classes", []))
    by_epoch = {int(epoch): name for epoch, name in history.get("pictures", {}).items()}
    pictures: list[tuple[str, str, str]] = []
    for epoch in sorted({*list(by_epoch)[:1], *([chosen] if chosen in by_epoch else [])}):
        kept = " (kept)" if epoch == chosen else ""
        text = f"Samples after epoch {epoch}{kept}, one row per class ({classes}), from the same noise in all epochs."
        pictures.append((by_epoch[epoch], f"Grid of synthetic patches after epoch {epoch}", text))
    if history.get("attention"):
        text = (
            f"Synthetic patches ({classes}) and, below each, where the generator's self-attention after stage 1 looks "
            "most: warm colours. Maps that follow nuclei and gland borders suggest that it learnt their structure; "
            "flat maps suggest the opposite."
        )
        pictures.append((history["attention"], "Synthetic patches with their attention maps", text))
    shown = [(file_below(path, name), title, text) for name, title, text in pictures]
    return [PictureFile(file, title, text) for file, title, text in shown if file is not None]


def _slide_text(entry: dict[str, Any]) -> str:
    """Return text such as 's1, patient p1: 120 normal, 80 tumour patches; tissue on 34% of the slide; 0.5 um/px.'"""
    patient = f", patient {entry['patient']}" if entry.get("patient") else ""
    patches = ", ".join(f"{count:,} {name}" for name, count in entry.get("patches", {}).items() if count)
    details = [f"{patches or 'no'} patches"]
    if entry.get("tissue") is not None:
        details.append(f"tissue on {entry['tissue']:.0%} of the slide")
    if entry.get("mpp"):
        details.append(f"{entry['mpp']:.3g} um/px")
    return f"{entry['slide']}{patient}: {'; '.join(details)}."
