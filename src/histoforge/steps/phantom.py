"""Draw phantom slides."""

from pathlib import Path

from histoforge.core.settings import Settings
from histoforge.phantom import draw_slides
from histoforge.steps.config.phantom import PhantomConfig


class PhantomSummary(Settings):
    """What was drawn.

    Attributes:
        slides: file names, the corrupt one included.
        patients: how many.
        classes: class names.
    """

    slides: list[str]
    patients: int
    classes: list[str]


def run(config: PhantomConfig, *, out: Path) -> PhantomSummary:
    """Draw slides, their annotations and `slides.csv` into the folder `out`.

    Raises:
        SettingsError: slides too small for their resolution.
        StorageError: the folder cannot be written, or the disk is full.
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
