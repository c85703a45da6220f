"""What earlier steps drew and recorded: the generator's history and pictures, and the slides with their grids."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histoforge.core.files import read_json
from histoforge.reports.findings import PictureFile

NOT_CURVES = ("epoch", "step", "seconds")
Curve = tuple[list[float], list[float]]


@dataclass(frozen=True)
class GeneratorRecord:
    """What a generator's directory tells of its training."""

    curves: dict[str, Curve] = field(default_factory=dict)
    chosen_epoch: int | None = None
    pictures: list[PictureFile] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def generator_record(path: Path) -> GeneratorRecord:
    """The curves and pictures beside a generator; empty where it has none."""
    file = Path(path) / "history.json"
    if not file.is_file():
        return GeneratorRecord()
    history = read_json(file)
    rows = history.get("epochs", [])
    names = dict.fromkeys(name for row in rows for name in row if name not in NOT_CURVES)
    curves = {}
    for name in names:
        points = [(float(row["epoch"]), float(row[name])) for row in rows if row.get(name) is not None]
        if points:
            curves[name] = ([x for x, _ in points], [y for _, y in points])
    facts = {name: value for name, value in history.items() if name not in ("epochs", "pictures")}
    return GeneratorRecord(curves, history.get("chosen_epoch"), _generator_pictures(Path(path), history), facts)


def slide_pictures(overviews: Path, most: int) -> list[PictureFile]:
    """Pictures of slides with tissue, regions and grid, at most `most`."""
    folder = Path(overviews) / "pictures"
    file = folder / "pictures.json"
    entries = read_json(file) if file.is_file() else []
    found = []
    for entry in entries:
        name = str(entry.get("slide", entry.get("name", "")))
        picture = folder / str(entry.get("picture", entry.get("file", f"{name}.jpg")))
        if picture.is_file():
            facts = {
                k: v for k, v in entry.items() if k not in ("slide", "name", "picture", "file") and v not in ("", None)
            }
            found.append(PictureFile(picture, f"Slide {name} with its grid", f"{name}. {_told(facts)}"))
    return found[:most]


def _generator_pictures(path: Path, history: dict[str, Any]) -> list[PictureFile]:
    """The first and the chosen epoch's samples, and the attention maps."""
    chosen, classes = history.get("chosen_epoch"), ", ".join(history.get("classes", []))
    by_epoch = {int(epoch): name for epoch, name in history.get("pictures", {}).items()}
    found = []
    for epoch in sorted({*list(by_epoch)[:1], *([chosen] if chosen in by_epoch else [])}):
        kept = " (kept)" if epoch == chosen else ""
        text = f"Samples after epoch {epoch}{kept}, a row a class ({classes}), from the same noise in all epochs."
        found.append(PictureFile(path / by_epoch[epoch], f"Grid of synthetic patches after epoch {epoch}", text))
    if history.get("attention"):
        text = (
            f"Synthetic patches ({classes}) and, below each, where the generator's self-attention after stage 1 looks "
            "most: warm colours. Maps that follow nuclei and gland borders speak for learnt structure, flat ones "
            "against it."
        )
        found.append(PictureFile(path / history["attention"], "Synthetic patches with their attention maps", text))
    return [one for one in found if one.path.is_file()]


def _told(facts: dict[str, Any]) -> str:
    return "; ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in facts.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)
