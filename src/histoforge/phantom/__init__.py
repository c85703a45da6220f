"""Phantom slides: drawn tissue with annotations and patients, which serve as data for the demo and the tests."""

from histoforge.phantom.patches import PhantomPatches, draw_patches
from histoforge.phantom.slides import CLASSES, draw_slides

__all__ = ["CLASSES", "PhantomPatches", "draw_patches", "draw_slides"]
