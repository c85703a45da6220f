"""Check that a model, an arm or a patch set has the classes and the patch size of other patches."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from histoforge.core.errors import HistoforgeError, ModelError
from histoforge.core.text import dimensions


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
