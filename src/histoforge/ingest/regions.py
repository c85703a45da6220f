"""The regions of one slide as the step uses them, including ignored ones and the area outside."""

import shapely

from histoforge.ingest.config import IngestConfig
from histoforge.ingest.slide_list import SlideItem
from histoforge.slides import Annotations, Region, Slide, read_annotations


def slide_regions(item: SlideItem, slide: Slide, classes: list[str], config: IngestConfig) -> Annotations:
    """Return the annotated regions of a slide and the repairs to them; no regions if it has no annotation.

    A region of an ignored class keeps a label beyond the classes, so that it still covers what is below it. A region
    without a class has the slide's. With `outside_class`, everything outside the regions is one more region.

    Raises:
        SlideError: if the annotation cannot be read, is empty, belongs to another slide, or has an unknown class.
    """
    if item.annotation is None:
        return Annotations()
    aliases = {"": item.label} if item.label else None
    found = read_annotations(
        item.annotation, slide, [*classes, *sorted(config.ignored - set(classes))], aliases=aliases
    )
    if not config.outside_class:
        return found
    inside = shapely.union_all([region.polygon for region in found.regions])
    outside = shapely.difference(shapely.box(0, 0, *slide.size), inside)
    beyond = Region(config.outside_class, classes.index(config.outside_class), outside)
    return Annotations([*found.regions, beyond], found.warnings)
