"""The workers of `tiling.py`, each run in its own process: python tiling_workers.py NAME SLIDE PATCH_PX WORKPLACE.

Prints one line of JSON with patches and seconds; imports are not timed. A peer is imported only on request and without
any part of histoforge, so that it can have its own environment.
"""

import json
import logging
import sys
import tempfile
import time
from pathlib import Path

MIN_TISSUE = 0.5


def bare(slide: Path, patch_px: int, workplace: Path) -> tuple[int, float]:
    """Read the position of each patch of preprocess with one call, and discard the pixels."""
    import numpy as np
    import openslide

    positions = np.load(workplace / "positions.npy").tolist()
    start = time.perf_counter()
    handle = openslide.OpenSlide(slide)
    for x, y in positions:
        handle.read_region((x, y), 0, (patch_px, patch_px))
    return len(positions), time.perf_counter() - start


def preprocess(slide: Path, patch_px: int, workplace: Path) -> tuple[int, float]:
    """Run the whole step: open, find tissue, plan, read, write patch set, overviews and picture, make digests."""
    from histoforge.patches import PatchSet
    from histoforge.steps import preprocess
    from histoforge.steps.preprocess_config import PreprocessConfig

    config = PreprocessConfig(
        source=str(slide.parent),
        kind="slides",
        patch_size=str(patch_px),
        level=0,
        min_tissue=MIN_TISSUE,
        split_ratios="0:0:1",
    )
    with tempfile.TemporaryDirectory(dir=workplace) as out:
        start = time.perf_counter()
        preprocess.run(config, patches=Path(out) / "patches", overviews=Path(out) / "overviews")
        taken = time.perf_counter() - start
        return len(PatchSet.open(Path(out) / "patches")), taken


def histolab(slide: Path, patch_px: int, workplace: Path) -> tuple[int, float]:
    """Run histolab's grid tiler, which writes one PNG per patch."""
    from histolab.slide import Slide
    from histolab.tiler import GridTiler

    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(dir=workplace) as out:
        start = time.perf_counter()
        tiler = GridTiler(tile_size=(patch_px, patch_px), level=0, check_tissue=True, tissue_percent=100 * MIN_TISSUE)
        tiler.extract(Slide(slide, processed_path=out), log_level="CRITICAL")
        taken = time.perf_counter() - start
        return len(list(Path(out).rglob("*.png"))), taken


def tiatoolbox(slide: Path, patch_px: int, workplace: Path) -> tuple[int, float]:
    """Run tiatoolbox's sliding-window extractor with preprocess's tissue mask; patches are read and discarded."""
    import numpy as np
    from tiatoolbox.tools.patchextraction import SlidingWindowPatchExtractor

    start = time.perf_counter()
    extractor = SlidingWindowPatchExtractor(
        input_img=slide,
        patch_size=(patch_px, patch_px),
        resolution=0,
        units="level",
        min_mask_ratio=MIN_TISSUE,
        input_mask=np.load(workplace / "mask.npy"),
    )
    count = sum(1 for _ in extractor)
    return count, time.perf_counter() - start


WORKERS = {function.__name__: function for function in (bare, preprocess, histolab, tiatoolbox)}


def main() -> None:
    name, slide, patch_px, workplace = sys.argv[1:]
    sys.path.pop(0)
    try:
        count, taken = WORKERS[name](Path(slide), int(patch_px), Path(workplace))
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    slides = 2 if name == "preprocess" else 1
    print(json.dumps({"patches": count, "seconds": taken, "slides": slides}), flush=True)


if __name__ == "__main__":
    main()
