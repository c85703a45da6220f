"""Tables of predictions by slide and by patient."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pydantic import Field

from histoforge.core.settings import Settings
from histoforge.prediction.slide_prediction import SlidePrediction


class SlideRecord(Settings):
    """Content of `slide.json`.

    Attributes:
        identity: digest of what determines the predictions: classifier, cutting, and the slide's files.
        slide: name of the slide.
        file: its path below the source.
        mpp: um/px of the patches.
        patches: number of predicted patches; 0 if there is not enough tissue.
        predicted: number of patches by most probable class.
        probability: mean probability of each class over the patches; empty without patches.
    """

    identity: str
    slide: str
    file: str
    mpp: float
    patches: int = Field(ge=0)
    predicted: dict[str, int]
    probability: dict[str, float]


def slide_record(prediction: SlidePrediction, slide: str, file: str, identity: str) -> SlideRecord:
    """Return the record of a predicted slide; see `SlideRecord`."""
    counts = np.bincount(prediction.labels, minlength=len(prediction.classes)).tolist()
    means = prediction.probabilities.mean(axis=0, dtype=np.float64).tolist() if len(prediction.labels) else []
    return SlideRecord(
        identity=identity,
        slide=slide,
        file=file,
        mpp=float(prediction.scale.mpp or 0.0),
        patches=len(prediction.labels),
        predicted=dict(zip(prediction.classes, counts, strict=True)),
        probability=dict(zip(prediction.classes, means, strict=False)),
    )


def slide_table(records: Sequence[SlideRecord], patients: Mapping[str, str], classes: Sequence[str]) -> pd.DataFrame:
    """Return one row per slide.

    The columns are slide, patient, file, patches, predicted (the class with the highest mean probability; empty without
    patches) and for each class `probability_<class>` (mean over the patches) and `share_<class>` (of the patches that
    are predicted as it).

    Args:
        records: the slides.
        patients: the patient of each slide.
        classes: class names.
    """
    rows = [
        {
            "slide": record.slide,
            "patient": patients[record.slide],
            "file": record.file,
            **_scores([record], classes),
        }
        for record in records
    ]
    return pd.DataFrame(rows)


def patient_table(records: Sequence[SlideRecord], patients: Mapping[str, str], classes: Sequence[str]) -> pd.DataFrame:
    """Return one row per patient, over the patches of all slides, with the columns patient, slides and as by slide."""
    by_patient: dict[str, list[SlideRecord]] = {}
    for record in records:
        by_patient.setdefault(patients[record.slide], []).append(record)
    return pd.DataFrame(
        [
            {"patient": patient, "slides": len(slides), **_scores(slides, classes)}
            for patient, slides in sorted(by_patient.items())
        ]
    )


def _scores(records: Sequence[SlideRecord], classes: Sequence[str]) -> dict[str, float | int | str | None]:
    """Return the columns that rows of slides and of patients share, over the patches of some slides."""
    patches = sum(record.patches for record in records)
    if not patches:
        empty = dict.fromkeys([f"{kind}_{name}" for kind in ("probability", "share") for name in classes])
        return {"patches": 0, "predicted": "", **empty}
    means = [
        sum(record.probability[name] * record.patches for record in records if record.patches) / patches
        for name in classes
    ]
    shares = [sum(record.predicted[name] for record in records) / patches for name in classes]
    return {
        "patches": patches,
        "predicted": classes[int(np.argmax(means))],
        **{f"probability_{name}": mean for name, mean in zip(classes, means, strict=True)},
        **{f"share_{name}": share for name, share in zip(classes, shares, strict=True)},
    }
