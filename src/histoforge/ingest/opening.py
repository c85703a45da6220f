"""Open a source as slides, folders of images by class, or PatchCamelyon's HDF5 files."""

from collections.abc import Sequence
from pathlib import Path

from histoforge.core.errors import SourceError
from histoforge.ingest.config import IngestConfig
from histoforge.ingest.images import EXTENSIONS as IMAGE_EXTENSIONS
from histoforge.ingest.images import ImageSource
from histoforge.ingest.pcam import PcamSource, is_pcam
from histoforge.ingest.slide_list import is_slide_name
from histoforge.ingest.slides import SlideSource
from histoforge.ingest.source import ReadLog, Source
from histoforge.storage import Entry, Location

TABLES = {"slides.csv": "slides", "labels.csv": "images"}


def detect_kind(entries: list[Entry], location: Location, labels: str = "") -> str:
    """Return 'slides', 'images' or 'pcam', based only on the names of the files.

    A slides.csv or labels.csv decides first, then HDF5 files, then whether most files are images in folders. A TIFF may
    be either: at the source's top level or beside an annotation it is a slide; in a folder that names a class it is an
    image.

    Raises:
        SourceError: the source has no such files.
    """
    names = [entry.name for entry in entries]
    for table in (Path(labels).name, *names):
        if table in TABLES:
            return TABLES[table]
    if any(is_pcam(name) for name in names):
        return "pcam"
    slides = [name for name in names if is_slide_name(name)]
    ambiguous = [name for name in slides if name.lower().endswith(IMAGE_EXTENSIONS)]
    images = [name for name in names if name.lower().endswith(IMAGE_EXTENSIONS) and "/" in name]
    annotated = any(name.lower().endswith((".geojson", ".xml")) for name in names)
    if len(slides) > len(ambiguous) or (ambiguous and (annotated or not images)):
        return "slides"
    if images:
        return "images"
    raise SourceError(
        f"There are no slides and no images in {location}: give a folder of slides, of images in one folder per "
        f"class, or of PatchCamelyon's .h5 files."
    )


def open_source(
    config: IngestConfig, location: Location, entries: list[Entry], log: ReadLog, cuts: Sequence[Path] = ()
) -> Source:
    """Open the source as the configured kind, or as the one that the files indicate.

    Args:
        config: the settings.
        location: the source.
        entries: its files.
        log: receives warnings and failures.
        cuts: folders of slides that `cut_slides` has cut.

    Raises:
        SourceError: there is nothing to read, its tables contradict themselves, or `cuts` are of other slides.
    """
    kind = detect_kind(entries, location, config.labels) if config.kind == "auto" else config.kind
    if kind == "slides":
        return SlideSource(config, location, entries, log, cuts)
    if kind == "pcam":
        return PcamSource(config, location, entries, log)
    return ImageSource(config, location, entries, log)
