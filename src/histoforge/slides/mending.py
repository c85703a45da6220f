"""Repair of outlines that cross themselves, in bounded time."""

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

MOST_FOR_LINEWORK = 500
"""Maximum crossings for GEOS's exact method, whose time grows so fast that 4,000 take minutes."""
MOST_CROSSINGS = 20_000
"""Maximum crossings of an outline; one with more is rejected. Outlines drawn by hand have a few."""
FURTHEST = 1e8
"""Maximum coordinate, px; no slide is this large."""
_AT_ONCE = 64


def ring(points: object) -> NDArray[np.float64]:
    """Return the first two coordinates of each point, float64 [N, 2].

    Raises:
        ValueError: a coordinate is not a number, not finite, or too large for any slide.
        TypeError, OverflowError: raised by float().
    """
    corners = np.array([[float(value) for value in point[:2]] for point in points], np.float64)  # type: ignore[attr-defined]
    if not len(corners):
        return corners.reshape(0, 2)
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ValueError("a corner has no two coordinates")
    if not (np.abs(corners) <= FURTHEST).all():
        raise ValueError("a coordinate is not finite or lies beyond any slide")
    return corners


def mended(outline: Polygon | MultiPolygon) -> MultiPolygon:
    """Return the area that an outline encloses, without the lines and points that the repair may leave.

    Raises:
        ValueError: the outline crosses itself in too many places to be repaired.
    """
    valid = outline if outline.is_valid else _made_valid(outline)
    parts = [part for part in shapely.get_parts(shapely.get_parts(valid)) if isinstance(part, Polygon)]
    return MultiPolygon([part for part in parts if part.area > 0])


def _made_valid(outline: Polygon | MultiPolygon) -> shapely.Geometry:
    """Return a valid geometry: the exact one, or a filled one if the outline crosses itself too often."""
    crossings = count_crossings(outline)
    if crossings > MOST_CROSSINGS:
        raise ValueError(f"an outline crosses itself in more than {MOST_CROSSINGS} places")
    if crossings > MOST_FOR_LINEWORK:
        return shapely.make_valid(outline, method="structure", keep_collapsed=False)
    return shapely.make_valid(outline)


def count_crossings(outline: Polygon | MultiPolygon) -> int:
    """Count the places where an outline meets itself apart from its corners, stopping beyond the bound."""
    rings = [
        shapely.get_coordinates(line)
        for part in shapely.get_parts(outline)
        for line in (part.exterior, *part.interiors)
    ]
    segments = np.concatenate([shapely.linestrings(np.stack([line[:-1], line[1:]], 1)) for line in rings if len(line)])
    tree, pairs = shapely.STRtree(segments), 0
    for start in range(0, len(segments), _AT_ONCE):
        some = segments[start : start + _AT_ONCE]
        pairs += tree.query(some, predicate="intersects").shape[1] - 3 * len(some)  # itself and its two neighbours
        if pairs > 2 * MOST_CROSSINGS:
            break
    return max(0, pairs // 2)
