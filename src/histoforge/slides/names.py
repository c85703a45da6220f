"""Names of slides: the name of the file or, for DICOM, of its folder."""

from pathlib import PurePath

OME_EXTENSIONS = (".ome.tif", ".ome.tiff")


def slide_name(path: PurePath) -> str:
    """Return the name of a slide in tables, annotations and patch sets.

    `a/b.svs` and `a/b.ome.tif` are `b`. A DICOM slide has a separate file for each level, so `a/b/level-0.dcm` is also
    `b`.
    """
    if path.suffix.lower() == ".dcm" and path.parent.name:
        return path.parent.name
    for extension in OME_EXTENSIONS:
        if path.name.lower().endswith(extension):
            return path.name[: -len(extension)]
    return path.stem
