"""Check that a model, an arm or a patch set has the classes and the patch size of other patches."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from histoforge.core.errors import HistoforgeError, ModelError, PatchSetError
from histoforge.core.text import dimensions
from histoforge.patches.patchset import PatchSet


class HasPatchFormat(Protocol):
    """Anything with classes and a patch size, such as a patch set or the description of a model."""

    @property
    def classes(self) -> Sequence[str]: ...

    @property
    def patch_size(self) -> Sequence[int]: ...


class PatchFormat(NamedTuple):
    """Classes and size of patches.

    Attributes:
        classes: class names in the order of the labels.
        patch_size: height and width, px.
    """

    classes: Sequence[str]
    patch_size: Sequence[int]


def check_same_format(
    subject: str,
    first: HasPatchFormat,
    name: str,
    second: HasPatchFormat,
    advice: str,
    error: type[HistoforgeError] = ModelError,
) -> None:
    """Check that two artifacts have the same classes, in the same order, and the same patch size.

    Args:
        subject: the first artifact and a verb, such as 'The classifier x was trained on', for the message.
        first: its classes and patch size.
        name: name of the second artifact in the message, such as 'the patch set'.
        second: its classes and patch size.
        advice: what the user can do, for the end of the message.
        error: the class of the error to raise.

    Raises:
        HistoforgeError: they differ; the class is `error`.
    """
    if list(first.classes) != list(second.classes):
        classes = [", ".join(artifact.classes) for artifact in (first, second)]
        raise error(f"{subject} the classes {classes[0]}, and {name} has {classes[1]}: {advice}.")
    if tuple(first.patch_size) != tuple(second.patch_size):
        sizes = [dimensions(artifact.patch_size) for artifact in (first, second)]
        raise error(f"{subject} patches of {sizes[0]} px, and {name} has {sizes[1]} px: {advice}.")


def check_same_fold(name: str, trained_on: str, fold: int, patches: PatchSet) -> None:
    """Check that what was trained on a patch set was trained on the fold for which it is used here.

    Args:
        name: its name in the message, such as 'The extractor x'.
        trained_on: digest of the patch set that it was trained on, or ''.
        fold: the fold that it was trained on; -1 for a single split.
        patches: the patch set, opened for the fold in question.

    Raises:
        ModelError: it was trained on another fold of this patch set, so that it has seen test patients of this one.
    """
    if trained_on == patches.digest and fold != patches.fold:
        folds = [f"fold {number}" if number >= 0 else "the single split" for number in (fold, patches.fold)]
        raise ModelError(
            f"{name} was trained on {folds[0]} of this patch set, and has seen test patients of {folds[1]}: give the "
            f"one of {folds[1]}."
        )


def check_same_split(patches: PatchSet, images: PatchSet) -> None:
    """Check that images of the same tissue have each patient in the same split as the patches.

    Raises:
        PatchSetError: a patient of the images is in another split, or has no patches.
    """
    columns = ["patient", "split"]
    expected = {(str(patient), str(split)) for patient, split in patches.index[columns].to_numpy()}
    for patient, split in images.index[columns].drop_duplicates().to_numpy():
        if (str(patient), str(split)) not in expected:
            raise PatchSetError(
                f"Large images of the patient '{patient}' are in the split '{split}', and none of the patient's "
                "patches are: the source may have changed between the two tasks that cut it, so run the pipeline again."
            )
