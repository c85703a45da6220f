"""The name of a slide: that of its file, or for DICOM of its folder."""

from pathlib import PurePath

OME_EXTENSIONS = (".ome.tif", ".ome.tiff")


def slide_name(path: PurePath) -> str:
    """Return the name by which tables, annotations and patch sets know a slide.

    `a/b.svs` and `a/b.ome.tif` are `b`. The files of a DICOM slide have names of their own, one for each level, so that
    `a/b/level-0.dcm` is `b` too.
    """
    if path.suffix.lower() == ".dcm" and path.parent.name:
        return path.parent.name
    for extension in OME_EXTENSIONS:
        if path.name.lower().endswith(extension):
            return path.name[: -len(extension)]
    return path.stem
