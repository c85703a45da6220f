"""The second level of a patch set: overviews, with the splits of the patches of the same tissue."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.text import counted, join_words
from histoforge.patches.patchset import UNUSED


def split_overviews(overviews: pd.DataFrame, patches: pd.DataFrame) -> NDArray[np.object_]:
    """Return the split of each overview, '' if it belongs to none.

    It is the split of the patches of its file, and 'control' only if the file has no others. If the maximum number of
    patches per class left none of the file, it is the split of its patient, provided that all of the patient's patches
    are in one split.

    Args:
        overviews: the index of the overviews, with `file` and `patient` unless it is empty.
        patches: the index of the patches that were kept, with `file`, `patient` and `split`.
    """
    used = patches[patches["split"] != UNUSED]
    by_file = used.sort_values("split", key=lambda split: split != "control", kind="stable")
    of_file = dict(zip(by_file["file"], by_file["split"], strict=True))
    splits = used.groupby("patient")["split"].unique()
    of_patient = {patient: names[0] for patient, names in splits.items() if len(names) == 1}
    rows = zip(overviews["file"], overviews["patient"], strict=True) if len(overviews) else ()
    return np.array([of_file.get(file, of_patient.get(patient, "")) for file, patient in rows], dtype=object)


def level_warnings(overviews: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Return a warning if classes have no training overview, so that no large image of them can be drawn."""
    trained = set(overviews.loc[overviews["split"] == "train", "class_name"])
    missing = [name for name in classes if name not in trained]
    if not missing:
        return []
    return [
        f"There are no training overviews of {join_words(missing)} ({counted(len(overviews), 'overviews')} of all "
        "classes and splits): choose a smaller overview_shrink, overview_size or min_tissue, or larger images"
    ]
