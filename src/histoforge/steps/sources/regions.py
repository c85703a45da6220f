"""The regions of one slide as the step wants them: with what is to be ignored, and with what lies outside."""

import shapely

from histoforge.slides import Annotations, Region, Slide, read_annotations
from histoforge.steps.config.preprocess import PreprocessConfig
from histoforge.steps.sources.slide_list import SlideItem


def slide_regions(item: SlideItem, slide: Slide, classes: list[str], config: PreprocessConfig) -> Annotations:
    """The annotated regions of a slide and what was mended; no regions where it has no annotation.

    A region of a class to ignore keeps a label beyond the classes, so that it still covers what lies below it. A region
    without a class has the slide's. With `outside_class`, everything outside the regions is one more region.

    Raises:
        SlideError: the annotation cannot be read, is empty, belongs to another slide, or has an unknown class.
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
