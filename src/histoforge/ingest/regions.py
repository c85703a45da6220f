"""The regions of one slide, including ignored ones and the area outside all of them."""

import shapely

from histoforge.ingest.slide_list import SlideItem
from histoforge.slides import Annotations, Region, Slide, read_annotations


def slide_regions(
    item: SlideItem, slide: Slide, classes: list[str], ignored: set[str], outside_class: str
) -> Annotations:
    """Return the annotated regions of a slide and the repairs to them; no regions if it has no annotation.

    A region of an ignored class gets a label beyond the classes, so that it still covers what is below it. A region
    without a class gets that of the slide.

    Args:
        item: the slide in the list of slides.
        slide: the open slide.
        classes: class names in the order of the labels.
        ignored: classes to leave out.
        outside_class: class of everything outside the regions, or ''.

    Raises:
        SlideError: the annotation cannot be read, is empty, belongs to another slide, or has an unknown class.
    """
    if item.annotation is None:
        return Annotations()
    aliases = {"": item.label} if item.label else None
    names = [*classes, *sorted(ignored - set(classes))]
    annotations = read_annotations(item.annotation, slide, names, aliases=aliases)
    if not outside_class:
        return annotations
    inside = shapely.union_all([region.polygon for region in annotations.regions])
    outside = shapely.difference(shapely.box(0, 0, *slide.size), inside)
    region = Region(outside_class, classes.index(outside_class), outside)
    return Annotations([*annotations.regions, region], annotations.warnings)
