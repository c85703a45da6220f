"""Checks of an external test set against the patch set with which the arms were trained."""

import numpy as np
from numpy.typing import NDArray

from histoforge.ingest.external import check_classes
from histoforge.metrics.exact_copies import first_matches, pixel_keys
from histoforge.metrics.structure import Structure
from histoforge.patches import PatchSet
from histoforge.patches.blocks import rows_of


def with_classes(external: PatchSet, real: PatchSet, source: str) -> PatchSet:
    """Return the external patches with the labels of the patch set.

    Raises:
        PatchSetError: their classes have other names.
    """
    check_classes(external.classes, real.classes, source)
    labels = np.array([real.classes.index(name) for name in external.classes])
    index = external.index.assign(label=labels[external.labels])
    info = external.info.model_copy(update={"classes": list(real.classes)})
    return PatchSet(info, index, external._reader, external._rows)


def repeated_rows(external: PatchSet, real: PatchSet) -> NDArray[np.int64]:
    """Return the rows of external patches with the pixels of a patch of the set, whatever its split; glass left out."""
    rows = np.array([row for row, _ in first_matches(pixel_keys(external), pixel_keys(real))], np.int64)
    if not len(rows):
        return rows
    return rows[Structure.of(rows_of(external, rows)).has_detail.numpy()]
