"""The section on the attention of classifiers that weigh the tiles of an image."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from histoforge.core.text import join_words
from histoforge.evaluation.findings import AttentionExample, AttentionMap, Findings, TopTile
from histoforge.evaluation.study_findings import StudyFindings
from histoforge.patches.pictures import GAP, attention_overlay
from histoforge.reports.layout.blocks import Figure, Figures, Section
from histoforge.reports.layout.pictures import figure_of

PANEL_PX = 256
FRAME_PX = 3
SHOWN_ARMS = 3


def attention_section(findings: Findings) -> Section:
    """Show test images of each class with the weights of their tiles; empty if no arm's network weighs tiles."""
    figures = [_figure(example, findings.study) for example in findings.attention]
    lead = (
        "Which tiles of an image does the classifier judge by? From blue, the least weight in the image, to red, the "
        "most; the tile with the most weight is framed, and tiles that the classifier leaves out, for lack of tissue, "
        "have no colour. Attention shows what the classifier used, which need not be what a pathologist would use."
    )
    several = any(len(example.maps) > 1 for example in findings.attention)
    return Section("attention", "Attention over the image", lead, [Figures(figures, several)] if figures else [])


def _figure(example: AttentionExample, study: StudyFindings) -> Figure:
    """Return an image, and beside it the same under the attention of each arm's classifier."""
    maps = example.maps[:SHOWN_ARMS]
    image = Image.fromarray(np.ascontiguousarray(example.image))
    image.thumbnail((PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    panels = [pixels, *(_overlaid(pixels, each) for each in maps)]
    gap = np.full((len(pixels), 4 * GAP, 3), 255, np.uint8)
    row = np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)
    first = maps[0].tile
    told = " ".join(_sentence(each.tile, study.title(each.tile.arm)) for each in maps)
    subject = f"{first.class_name}, a test image of {first.unit}"
    arms = join_words([study.title(each.tile.arm) for each in maps])
    return figure_of(Image.fromarray(row), alt=f"{subject}, and the attention of {arms}", caption=f"{subject}. {told}")


def _overlaid(image: NDArray[np.uint8], attention: AttentionMap) -> NDArray[np.uint8]:
    """Lay the attention over an image, uint8 [H, W, 3], and frame the tile with the most weight.

    Tiles outside the bag stay as they are, and take no part in the range of colours.
    """
    in_bag = attention.weights > 0
    weights = np.where(in_bag, attention.weights, attention.weights[in_bag].min())
    picture = Image.fromarray(attention_overlay(image[None], weights[None])[0])
    picture.paste(Image.fromarray(image), mask=Image.fromarray(~in_bag).resize(picture.size))
    (height, width), tile = attention.weights.shape, attention.tile
    down, across = picture.height / height, picture.width / width
    left, top = tile.left * across, tile.top * down
    right, bottom = left + tile.side * across - 1, top + tile.side * down - 1
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left, top, right, bottom), outline="white", width=FRAME_PX)
    draw.rectangle((left, top, right, bottom), outline="black", width=1)
    return np.asarray(picture)


def _sentence(tile: TopTile, title: str) -> str:
    equal = f"{1 / tile.tiles:.0%} if all {tile.tiles} tiles were equal"
    return (
        f"{title}: {tile.weight:.0%} on the framed tile ({equal}); predicts {tile.predicted} ({tile.probability:.2f})."
    )
