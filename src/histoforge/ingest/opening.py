"""Open a source as slides, folders of images by class, or PatchCamelyon's HDF5 files."""

from pathlib import Path

from histoforge.core.errors import SourceError
from histoforge.ingest.base import Reading, Source
from histoforge.ingest.config import IngestConfig
from histoforge.ingest.images import EXTENSIONS as IMAGE_EXTENSIONS
from histoforge.ingest.images import ImageSource
from histoforge.ingest.pcam import PcamSource, is_pcam
from histoforge.ingest.slide_list import is_slide_name
from histoforge.ingest.slides import SlideSource
from histoforge.storage import Entry, Location

TABLES = {"slides.csv": "slides", "labels.csv": "images"}


def detect_kind(entries: list[Entry], location: Location, labels: str = "") -> str:
    """Return 'slides', 'images' or 'pcam', based only on the names of the files.

    A slides.csv or labels.csv decides first, then HDF5 files, then whether most files are images in folders. A TIFF may
    be either: at the source's top level or beside an annotation it is a slide, in a folder that names a class an image.

    Raises:
        SourceError: if nothing there is any of the three.
    """
    names = [entry.name for entry in entries]
    for table in (Path(labels).name, *names):
        if table in TABLES:
            return TABLES[table]
    if any(is_pcam(name) for name in names):
        return "pcam"
    only_slides = [name for name in names if is_slide_name(name) and not name.lower().endswith(IMAGE_EXTENSIONS)]
    either = [name for name in names if is_slide_name(name) and name.lower().endswith(IMAGE_EXTENSIONS)]
    images = [name for name in names if name.lower().endswith(IMAGE_EXTENSIONS) and "/" in name]
    annotated = any(name.lower().endswith((".geojson", ".xml")) for name in names)
    if only_slides or (either and (annotated or not images)):
        return "slides"
    if images:
        return "images"
    raise SourceError(
        f"There are no slides and no images in {location}: give a folder of slides, of images in a folder for each "
        f"class, or of PatchCamelyon's .h5 files."
    )


def open_source(config: IngestConfig, location: Location, entries: list[Entry], reading: Reading) -> Source:
    """Open the source as the kind that the user named or that the files indicate.

    Raises:
        SourceError: if there is nothing to read, or its tables contradict themselves.
    """
    kind = detect_kind(entries, location, config.labels) if config.kind == "auto" else config.kind
    if kind == "slides":
        return SlideSource(config, location, entries, reading)
    if kind == "pcam":
        return PcamSource(config, location, entries, reading)
    return ImageSource(config, location, entries, reading)
