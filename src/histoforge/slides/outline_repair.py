"""Repair of outlines that cross themselves, in bounded time."""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

MAX_CROSSINGS_LINEWORK = 500
"""Maximum crossings for GEOS's exact method, whose time grows so fast that 4,000 take minutes."""
MAX_CROSSINGS = 20_000
"""Maximum crossings of an outline; one with more is rejected. Outlines drawn by hand have a few."""
MAX_COORDINATE = 1e8
"""Maximum coordinate, px; no slide is this large."""
_SEGMENTS_PER_QUERY = 64


def ring(points: Any) -> NDArray[np.float64]:
    """Return the first two coordinates of each point, float64 [N, 2].

    Raises:
        ValueError: a coordinate is not a number, not finite, or too large for any slide.
        TypeError, OverflowError: raised by float().
    """
    corners = np.array([[float(value) for value in point[:2]] for point in points], np.float64)
    if not len(corners):
        return corners.reshape(0, 2)
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ValueError("a corner does not have two coordinates")
    if not (np.abs(corners) <= MAX_COORDINATE).all():
        raise ValueError("a coordinate is not finite or is beyond any slide")
    return corners


def repair_outline(outline: Polygon | MultiPolygon) -> MultiPolygon:
    """Return the area that an outline encloses, without the lines and points that the repair may leave.

    Raises:
        ValueError: the outline crosses itself at too many points to be repaired.
    """
    valid = outline if outline.is_valid else _make_valid(outline)
    pieces = shapely.get_parts(shapely.get_parts(valid))
    return MultiPolygon([piece for piece in pieces if isinstance(piece, Polygon) and piece.area > 0])


def _make_valid(outline: Polygon | MultiPolygon) -> shapely.Geometry:
    """Return a valid geometry: the exact one, or a filled one if the outline crosses itself too often."""
    crossings = count_crossings(outline)
    if crossings > MAX_CROSSINGS:
        raise ValueError(f"an outline crosses itself in more than {MAX_CROSSINGS} points")
    if crossings > MAX_CROSSINGS_LINEWORK:
        return shapely.make_valid(outline, method="structure", keep_collapsed=False)
    return shapely.make_valid(outline)


def count_crossings(outline: Polygon | MultiPolygon) -> int:
    """Count the points where an outline meets itself apart from its corners, stopping beyond the bound."""
    rings = [
        shapely.get_coordinates(line)
        for polygon in shapely.get_parts(outline)
        for line in (polygon.exterior, *polygon.interiors)
    ]
    segments = np.concatenate([shapely.linestrings(np.stack([line[:-1], line[1:]], 1)) for line in rings if len(line)])
    tree, pairs = shapely.STRtree(segments), 0
    for start in range(0, len(segments), _SEGMENTS_PER_QUERY):
        queried = segments[start : start + _SEGMENTS_PER_QUERY]
        # every segment meets itself and its two neighbours
        pairs += tree.query(queried, predicate="intersects").shape[1] - 3 * len(queried)
        if pairs > 2 * MAX_CROSSINGS:
            break
    return max(0, pairs // 2)
