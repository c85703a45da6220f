"""The trainings that make a generator: one for all classes, or one per class if the method uses no labels."""

import re
from dataclasses import dataclass

import numpy as np

from histoforge.core.errors import SettingsError
from histoforge.core.seeds import numpy_rng
from histoforge.core.settings import nearest
from histoforge.generators.config import GeneratorConfig
from histoforge.patches.patchset import PatchSet
from histoforge.training.model_files import ModelInfo

_NOT_IN_FILES = re.compile(r"\W+")


@dataclass(frozen=True)
class ClassTraining:
    """A training of all classes, or of a single class if the method trains one model per class.

    Attributes:
        data: real patches for training.
        info: the description of the resulting generator.
        folder: '', or '<index>-<class>' with a valid file name.
    """

    data: PatchSet
    info: ModelInfo
    folder: str = ""

    @property
    def label(self) -> str:
        """The label of the log and the progress bar."""
        return f"{self.info.method} {self.folder.partition('-')[2]}".strip()


def class_trainings(config: GeneratorConfig, data: PatchSet, info: ModelInfo) -> list[ClassTraining]:
    """Return the trainings: one for all classes, or one per requested class.

    Args:
        config: the settings.
        data: real patches of all classes.
        info: the description of the whole generator.

    Raises:
        SettingsError: there is no such class, or one has fewer patches than a batch.
    """
    if not config.class_wise:
        return [ClassTraining(data, info)]
    only = getattr(config, "only_class", "")
    if only and only not in data.classes:
        raise SettingsError(
            f"The patch set has no class '{only}'{nearest(only, data.classes)}: set only_class to one of "
            f"{', '.join(data.classes)}."
        )
    trainings = []
    for label, name in enumerate(data.classes):
        if only in ("", name):
            _check_count(name, int(data.counts[label]), config.batch_size)
            class_info = info.model_copy(update={"classes": [name]})
            folder = f"{label}-{_NOT_IN_FILES.sub('-', name)}"
            trainings.append(ClassTraining(data.of_class(label), class_info, folder))
    return trainings


def _check_count(name: str, count: int, batch_size: int) -> None:
    if count < batch_size:
        raise SettingsError(
            f"The class '{name}' has {count} training patches, fewer than a batch of {batch_size}: "
            f"lower batch_size{f' to {count} or less' if count > 1 else ''}, or give more patches of it."
        )


def limit_patches(data: PatchSet, limit: int, seed: int) -> PatchSet:
    """Return at most `limit` patches, the same ones for each class that is trained separately; 0 for no limit."""
    if not limit or limit >= len(data):
        return data
    return data.where(np.sort(numpy_rng(seed, "generator patches").choice(len(data), limit, replace=False)))
