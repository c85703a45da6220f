"""The settings of an external test: a second source, cut like a patch set and never split."""

from collections.abc import Sequence
from typing import TypeVar

from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.core.text import join_words, quoted
from histoforge.ingest.config import IngestConfig
from histoforge.storage import open_location

Config = TypeVar("Config", bound=IngestConfig)
WHOLE = {"split_ratios": "0:0:1", "train_fraction": 1.0, "control_share": 0.0, "folds": 0}
"""Settings that keep every patch, and split nothing."""
BESIDE = {"labels": "", "annotations": ""}
"""Tables and annotations are those at the test source itself."""


def external_config(source: str, cutting: Config, patient_pattern: str = "") -> Config:
    """Return the settings with which the external source is cut: those of the patch set, without a split.

    Args:
        source: location of the external source.
        cutting: settings of the patch set.
        patient_pattern: how its files name patients; '' if they do so like those of the patch set.

    Raises:
        SettingsError: the source is that of the patch set.
    """
    if str(open_location(source)) == str(open_location(cutting.source)):
        raise SettingsError(
            f"test_source is {source}, the source of the patch set itself: give a source of other patients."
        )
    values = {name: value for name, value in {**WHOLE, **BESIDE}.items() if name in type(cutting).model_fields}
    values["patient_pattern"] = patient_pattern or cutting.patient_pattern
    return cutting.model_copy(update={**values, "source": source})


def check_classes(external: Sequence[str], classes: Sequence[str], source: str) -> None:
    """Check the class names of an external source.

    Raises:
        PatchSetError: they differ from those of the patch set.
    """
    if set(external) != set(classes):
        raise PatchSetError(
            f"test_source {source} has the classes {join_words(quoted(sorted(external)))}, and the source that is "
            f"trained on has {join_words(quoted(sorted(classes)))}: name the classes alike, or leave some out with "
            "ignore_classes."
        )
