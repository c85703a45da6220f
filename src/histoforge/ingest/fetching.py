"""Fetch and open one slide of a location."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from histoforge.ingest.slide_list import SlideItem
from histoforge.slides import Slide, open_slide
from histoforge.storage import Location


@contextmanager
def fetched_slide(item: SlideItem, location: Location, temporary: Path, slide_mpp: float) -> Iterator[Slide]:
    """Yield an open slide; its files are fetched below `temporary` if they are not local, and removed afterwards.

    Args:
        item: the slide.
        location: the source.
        temporary: folder for fetched files.
        slide_mpp: um/px of level 0 if neither the file nor the table states it; 0 if unknown.

    Raises:
        SlideError: it does not open.
    """
    with ExitStack() as stack:
        for companion in item.companions:
            stack.enter_context(location.fetched(companion, temporary))
        path = stack.enter_context(location.fetched(item.file, temporary))
        slide = stack.enter_context(open_slide(path, item.mpp))
        if slide.mpp is None and slide_mpp:
            slide.mpp = slide_mpp
        yield slide
