"""The resolution that the OME-XML of an OME-TIFF states."""

import math
from xml.etree import ElementTree

MICROMETRES = {
    "m": 1e6,
    "dm": 1e5,
    "cm": 1e4,
    "mm": 1e3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "Å": 1e-4,
    "in": 25_400.0,
}
"""Micrometres per unit of OME's `UnitsLength`; the micro sign may be either of two characters."""


def ome_mpp(description: str) -> float | None:
    """Return um/px of the first image of an OME-XML document, averaged over both directions.

    Args:
        description: the TIFF's ImageDescription, which may be any text.

    Returns:
        The resolution, or None if the text is not OME-XML, states no physical size, or states it in pixels.
    """
    if "<OME" not in description or "<!DOCTYPE" in description:
        return None
    try:
        root = ElementTree.fromstring(description.rstrip("\0").encode("utf-8"))
    except (ElementTree.ParseError, UnicodeEncodeError):
        return None
    pixels = next((element for element in root.iter() if element.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None
    x = _micrometres(pixels, "X")
    y = _micrometres(pixels, "Y")
    return x if y is None else None if x is None else (x + y) / 2


def _micrometres(pixels: ElementTree.Element, axis: str) -> float | None:
    unit = MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    try:
        size = float(pixels.get(f"PhysicalSize{axis}", ""))
    except ValueError:
        return None
    return size * unit if unit is not None and math.isfinite(size) else None
