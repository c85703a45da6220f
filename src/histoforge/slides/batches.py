"""Read planned patches fast and with constant memory, in blocks of adjacent patches and on several threads."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.timings import spent
from histoforge.slides.reading import Pixels, Slide
from histoforge.slides.scale import Scale, cut_patch, read_patch

Rows = NDArray[np.int64]
BLOCK_PX = 1536
MAX_WASTE = 1.6


def read_patches(
    slide: Slide,
    plan: pd.DataFrame,
    scale: Scale,
    threads: int = 1,
    transform: Callable[[Pixels], Pixels] | None = None,
) -> Iterator[tuple[Rows, Pixels]]:
    """Read the patches of a plan, one block of the slide at a time and always in the same order.

    Adjacent patches are read by one call, so that a tile of the file is decoded once. Decoding runs outside Python's
    global lock, so that threads on one handle (with one cache of decoded tiles) use all cores.

    Args:
        plan: table with one row per patch and the columns `x` and `y` (level-0 px), from `plan_patches`.
        scale: the scale at which patches are read.
        threads: number of blocks that are read at the same time.
        transform: applied to each batch on the threads; takes and returns uint8 [n, h, w, 3].

    Yields:
        The row indices of the plan (int64 [n]) and their pixels (uint8 [n, h, w, 3]). Each row occurs once.

    Raises:
        SlideError: the slide is damaged in one of the patches.
    """
    x, y = plan["x"].to_numpy(np.int64), plan["y"].to_numpy(np.int64)

    def read(rows: Rows) -> tuple[Rows, Pixels]:
        with spent("decode", patches=len(rows)) as work:
            images = _read_block(slide, x[rows], y[rows], scale)
            work.bytes = images.nbytes
        return rows, images if transform is None else transform(images)

    blocks = plan_blocks(x, y, scale)
    if threads <= 1:
        yield from map(read, blocks)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[tuple[Rows, Pixels]]] = deque()
        try:
            for rows in blocks:
                waiting.append(pool.submit(read, rows))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def plan_blocks(x: Rows, y: Rows, scale: Scale) -> list[Rows]:
    """Group the rows of a plan into blocks that are read together, in bands from the top.

    A block is about 1536 px of the level.
    """
    if not len(x):
        return []
    span = max(BLOCK_PX * scale.downsample, *scale.footprint)
    band, column = ((side - side.min()) // span for side in (y, x))
    order = np.lexsort((x, y, column, band))
    keys = np.stack([band[order], column[order]])
    starts = np.flatnonzero(np.any(np.diff(keys, axis=1), axis=0)) + 1
    return list(np.split(order, starts))


def _read_block(slide: Slide, x: Rows, y: Rows, scale: Scale) -> Pixels:
    """Read the patches at (x, y), uint8 [n, h, w, 3].

    They are cut from one rectangle if that gives the same pixels as `read_patch`. Otherwise, or if most of the
    rectangle would be unused, they are read one by one.
    """
    images = np.empty((len(x), *scale.patch_size, 3), np.uint8)
    columns, rows = (np.rint(side / scale.downsample).astype(np.int64) for side in (x, y))
    left, top = int(columns.min()), int(rows.min())
    height, width = (math.ceil(side - 1e-6) for side in scale.window)
    block = None
    if _is_dense(x, y, scale):
        extent = int(columns.max()) - left + width, int(rows.max()) - top + height
        block = slide.read_block(left, top, scale.level, *extent)
    for i, image in enumerate(images):
        if block is None:
            image[:] = read_patch(slide, scale, int(x[i]), int(y[i]))
        else:
            image[:] = cut_patch(block, int(columns[i]) - left, int(rows[i]) - top, scale)
    return images


def _is_dense(x: Rows, y: Rows, scale: Scale) -> bool:
    height, width = scale.footprint
    whole = (np.ptp(x) + width) * (np.ptp(y) + height)
    return bool(whole <= MAX_WASTE * len(x) * height * width)
