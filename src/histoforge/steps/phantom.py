"""Draw phantom slides."""

from pathlib import Path

from histoforge.core.settings import Settings
from histoforge.phantom import draw_slides
from histoforge.steps.phantom_config import PhantomConfig


class PhantomSummary(Settings):
    """The drawn slides.

    Attributes:
        slides: file names, including the corrupt one.
        patients: number of patients.
        classes: class names.
    """

    slides: list[str]
    patients: int
    classes: list[str]


def run(config: PhantomConfig, *, out: Path) -> PhantomSummary:
    """Draw slides, their annotations and `slides.csv` into the folder `out`.

    Raises:
        SettingsError: if slides are too small for their resolution.
        StorageError: if the folder cannot be written, or the disk is full.
    """
    paths = draw_slides(
        out,
        patients=config.patients,
        slides_per_patient=config.slides_per_patient,
        size_px=config.size_px,
        mpp=config.mpp,
        classes=config.classes,
        seed=config.seed,
        corrupt=config.corrupt,
    )
    return PhantomSummary(slides=[path.name for path in paths], patients=config.patients, classes=config.classes)
