"""Slides: reading, tissue detection, annotations, and patch extraction.

>>> with open_slide(path) as slide:
...     tissue = find_tissue(slide)
...     regions = read_annotations(path.with_suffix(".geojson"), slide, classes).regions
...     scale = patch_scale(slide, (96, 96), mpp=0.97)
...     plan = plan_patches(slide, scale, tissue, PlanSettings(), regions)
...     for rows, images in read_patches(slide, plan, scale, threads=2):
...         writer.add(images, **plan.iloc[rows][["x", "y", "label"]])
"""

from histoforge.slides.annotations import (
    Annotations,
    Region,
    annotated_classes,
    read_annotations,
)
from histoforge.slides.batches import read_patches
from histoforge.slides.pictures import class_colour, draw_picture, write_picture
from histoforge.slides.reading import Slide, open_slide
from histoforge.slides.scale import Scale, patch_scale, read_overview, read_patch
from histoforge.slides.stain import Macenko, Reinhard, fit_to_slide, stain_normaliser
from histoforge.slides.tiling import PlanSettings, plan_patches
from histoforge.slides.tissue import Tissue, find_tissue

__all__ = [
    "Annotations",
    "Macenko",
    "PlanSettings",
    "Region",
    "Reinhard",
    "Scale",
    "Slide",
    "Tissue",
    "annotated_classes",
    "class_colour",
    "draw_picture",
    "find_tissue",
    "fit_to_slide",
    "open_slide",
    "patch_scale",
    "plan_patches",
    "read_annotations",
    "read_overview",
    "read_patch",
    "read_patches",
    "stain_normaliser",
    "write_picture",
]
