"""Helpers of the tests of `preprocess`: running it, and small sources."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from histoforge.patches import PatchSet
from histoforge.steps.preprocess import run
from histoforge.steps.preprocess_config import PreprocessConfig, PreprocessSummary


@dataclass
class Preprocessed:
    """The outputs of a run of the step."""

    summary: PreprocessSummary
    patches: PatchSet
    overviews: PatchSet
    folder: Path


def preprocess(source: Path | str, out: Path, **values: Any) -> Preprocessed:
    """Run the step and open its outputs."""
    config = PreprocessConfig.make({"source": str(source), "workers": 2, **values})
    summary = run(config, patches=out / "patches", overviews=out / "overviews")
    return Preprocessed(summary, PatchSet.open(out / "patches"), PatchSet.open(out / "overviews"), out)


def tissue(seed: int, height: int = 32, width: int = 32) -> np.ndarray:
    """Random pixels of the colours of stained tissue, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    return rng.integers((120, 40, 110), (200, 120, 180), (height, width, 3)).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    """Write an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_table(path: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    """Write a CSV file."""
    rows = list(rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def folder_by_patient(folder: Path, patients: int = 6, images: int = 4, size: int = 32) -> Path:
    """`<class>/<image>.png` with a labels.csv: two classes, every patient with both."""
    rows = []
    for patient in range(patients):
        for number in range(images):
            label = ("benign", "malignant")[number % 2]
            name = f"{label}/{patient}-{number}.png"
            save(folder / name, tissue(patient * 100 + number, size, size))
            rows.append({"path": name, "label": label, "patient": f"p{patient}", "slide": f"s{patient}-{number // 2}"})
    write_table(folder / "labels.csv", rows)
    return folder
