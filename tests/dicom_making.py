"""A DICOM whole-slide image, written byte by byte as PS3.5 and PS3.10 say: a file a level, frames tiled in full."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
UIDS = "1.2.826.0.1.3680043.10.1338"
LONG = {"OB", "OW", "SQ", "UN"}
NUMBERS = {"US": "<H", "UL": "<I", "FL": "<f"}


def write_dicom(folder: Path, image: NDArray[np.uint8], mpp: float, levels: int = 2, tile: int = 64) -> Path:
    """Write a slide, uint8 [H, W, 3], whose further levels are half the size each; returns the file of level 0."""
    folder.mkdir(parents=True)
    for level in range(levels):
        pixels, spacing = image[:: 2**level, :: 2**level], mpp * 2**level / 1000
        (folder / f"level-{level}.dcm").write_bytes(_file(pixels, spacing, level, tile))
    return folder / "level-0.dcm"


def _file(pixels: NDArray[np.uint8], spacing_mm: float, level: int, tile: int) -> bytes:
    height, width = pixels.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    canvas = np.full((rows * tile, columns * tile, 3), 255, np.uint8)
    canvas[:height, :width] = pixels
    frames = canvas.reshape(rows, tile, columns, tile, 3).swapaxes(1, 2).tobytes()
    uid = f"{UIDS}.{level + 1}"
    measures = [(0x0018, 0x0050, "DS", "0.001"), (0x0028, 0x0030, "DS", f"{spacing_mm:.8g}\\{spacing_mm:.8g}")]
    frame_type = "ORIGINAL\\PRIMARY\\VOLUME\\" + ("NONE" if level == 0 else "RESAMPLED")
    shared = [
        (0x0028, 0x9110, "SQ", [measures]),
        (0x0040, 0x0710, "SQ", [[(0x0008, 0x9007, "CS", frame_type)]]),
    ]
    body = [
        (0x0008, 0x0008, "CS", frame_type),
        (0x0008, 0x0016, "UI", WHOLE_SLIDE),
        (0x0008, 0x0018, "UI", uid),
        (0x0008, 0x0060, "CS", "SM"),
        (0x0010, 0x0010, "PN", "Phantom"),
        (0x0020, 0x000D, "UI", f"{UIDS}.100"),
        (0x0020, 0x000E, "UI", f"{UIDS}.101"),
        (0x0020, 0x0052, "UI", f"{UIDS}.102"),
        (0x0020, 0x9311, "CS", "TILED_FULL"),
        (0x0028, 0x0002, "US", 3),
        (0x0028, 0x0004, "CS", "RGB"),
        (0x0028, 0x0006, "US", 0),
        (0x0028, 0x0008, "IS", str(rows * columns)),
        (0x0028, 0x0010, "US", tile),
        (0x0028, 0x0011, "US", tile),
        (0x0028, 0x0100, "US", 8),
        (0x0028, 0x0101, "US", 8),
        (0x0028, 0x0102, "US", 7),
        (0x0028, 0x0103, "US", 0),
        (0x0048, 0x0001, "FL", width * spacing_mm),
        (0x0048, 0x0002, "FL", height * spacing_mm),
        (0x0048, 0x0006, "UL", width),
        (0x0048, 0x0007, "UL", height),
        (0x0048, 0x0105, "SQ", [[(0x0048, 0x0106, "SH", "1")]]),
        (0x0048, 0x0302, "UL", 1),
        (0x5200, 0x9229, "SQ", [shared]),
        (0x7FE0, 0x0010, "OB", frames),
    ]
    meta = _elements(
        [
            (0x0002, 0x0001, "OB", b"\0\1"),
            (0x0002, 0x0002, "UI", WHOLE_SLIDE),
            (0x0002, 0x0003, "UI", uid),
            (0x0002, 0x0010, "UI", EXPLICIT_LITTLE_ENDIAN),
            (0x0002, 0x0012, "UI", f"{UIDS}.103"),
        ]
    )
    return bytes(128) + b"DICM" + _elements([(0x0002, 0x0000, "UL", len(meta))]) + meta + _elements(body)


def _elements(elements: list[tuple[int, int, str, Any]]) -> bytes:
    return b"".join(_element(*element) for element in elements)


def _element(group: int, element: int, kind: str, value: Any) -> bytes:
    if kind == "SQ":
        items = (_elements(item) for item in value)
        data = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    elif kind in NUMBERS:
        data = struct.pack(NUMBERS[kind], value)
    else:
        data = value if isinstance(value, bytes) else value.encode("ascii")
        data += (b"\0" if kind in ("UI", "OB") else b" ") * (len(data) % 2)
    head = struct.pack("<HH", group, element) + kind.encode("ascii")
    return head + (struct.pack("<HI", 0, len(data)) if kind in LONG else struct.pack("<H", len(data))) + data
