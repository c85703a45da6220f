"""Warnings about real and synthetic patches that were compressed in different ways."""

from histoforge.core.text import join_words
from histoforge.ingest.codecs import UNKNOWN
from histoforge.patches import PatchSet

CLEAR_QUALITY = 5
"""Difference of median JPEG qualities from which on they count as different."""
LOSSLESS = {"PNG", "BMP", "PPM", "none", "NONE", "LZW", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS"}
"""Codecs that leave no traces, and so do not differ from each other."""


def codec_warnings(real: PatchSet, synthetic: PatchSet) -> list[str]:
    """Return a warning if the files of real and of synthetic patches had other codecs, or another JPEG quality.

    Distances react strongly to compression. Nothing is said where one of them is not recorded, as for patches that a
    generator of histoforge drew.
    """
    real_codecs, real_quality = _stored(real)
    codecs, quality = _stored(synthetic)
    if not real_codecs or not codecs:
        return []
    other_quality = real_quality and quality and abs(real_quality - quality) >= CLEAR_QUALITY
    if _traces(real_codecs) == _traces(codecs) and not other_quality:
        return []
    return [
        "Real and synthetic patches were compressed in different ways: the files of real ones are "
        f"{_text(real_codecs, real_quality)}, those of {_name(synthetic)} {_text(codecs, quality)}. Distances react to "
        "compression, and a classifier may learn it: see how far real patches as JPEG 75 are from real ones, and store "
        "both alike."
    ]


def _stored(patches: PatchSet) -> tuple[dict[str, int], float | None]:
    made_by = patches.info.made_by
    codecs = {name: count for name, count in (made_by.get("codecs") or {}).items() if name != UNKNOWN}
    return codecs, made_by.get("jpeg_quality")


def _name(synthetic: PatchSet) -> str:
    """Return the name of a set that somebody else made, imported or scored as candidates."""
    made_by = synthetic.info.made_by
    origin = made_by.get("given") or made_by.get("origin") or {}
    return str(origin.get("name") or "synthetic ones")


def _traces(codecs: dict[str, int]) -> set[str]:
    return {"" if name in LOSSLESS else name for name in codecs}


def _text(codecs: dict[str, int], quality: float | None) -> str:
    median = f" of median quality {quality:.0f}" if quality else ""
    return join_words([f"{name}{median if name == 'JPEG' else ''}" for name in codecs])
