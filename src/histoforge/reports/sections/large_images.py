"""The section on large images: pictures of each class, and Tables 3 and 4 of PathUp."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from PIL import Image

from histoforge.core.text import dimensions, join_words
from histoforge.evaluation.image_scores import ImageScores
from histoforge.evaluation.large_images import LargeImageFindings, LargePicture
from histoforge.evaluation.level_scores import IMAGE, TILE, LevelScores
from histoforge.metrics.table import TWO_DECIMALS
from histoforge.patches.pictures import GAP
from histoforge.reports.layout.blocks import Block, Cell, Figure, Figures, Section, Table, cells
from histoforge.reports.layout.pictures import figure_of
from histoforge.reports.sections.levels import TITLES, counts_cell, metric_cells, metrics_note, real_cells
from histoforge.reports.text.formatting import mean_text, value_text
from histoforge.reports.text.pathup_figures import TABLE_3, TABLE_4, TABLE_6, TABLE_6_CLASSES
from histoforge.reports.text.pathup_figures import Figures as Paper

PANEL_PX = 320
PANELS = 4
SCALES = {TILE: "tiles at full resolution", IMAGE: "whole images, shrunk"}
SEAMS_NOTE = (
    "Seams: gradient energy across the borders of windows, divided by that across parallel lines elsewhere; 1 is "
    "seamless, and real images are measured across the same lines. Repeated tissue: share of an image's patches that "
    "other patches of the same image resemble more than those of another image do."
)


def large_images_section(large: LargeImageFindings | None) -> Section:
    """Show large images of each class, and compare upscalers and weight maps; empty without their scores."""
    images = [] if large is None else list(large.images)
    tracked = [scores for scores in images if scores.drawing.get("upscaled_by") == "tracking"]
    upscaled = [scores for scores in images if scores not in tracked or scores.drawing.get("weights") != "none"]
    figures = [] if large is None else _class_figures(large.pictures)
    blocks: list[Block] = [Figures(figures, wide=True)] if figures else []
    for extractor in dict.fromkeys(row.extractor for scores in images for row in scores.levels):
        upscalers = {scores.name: TABLE_3.get(str(scores.drawing.get("upscaled_by"))) for scores in upscaled}
        blocks += _image_table("Table 3: what enlarges an overview", upscaled, extractor, upscalers)
        if len(tracked) > 1:
            maps = {scores.name: TABLE_4.get(str(scores.drawing.get("weights"))) for scores in tracked}
            blocks += _image_table("Table 4: the weight map", tracked, extractor, maps)
    blocks += _seams_table(images)
    sizes = join_words(list(dict.fromkeys(f"{dimensions(scores.image_size)} px" for scores in images)))
    lead = f"Do large images of {sizes} look like real tissue, without seams and without repeating themselves?"
    return Section("large-images", "Large images", lead, blocks)


def paper_f1_table(large: LargeImageFindings | None) -> list[Table]:
    """Return Table 6 of the paper, to read beside the F1 of the arms; empty without large images."""
    if large is None or not large.images:
        return []
    rows = [[Cell(name), *(Cell(f"{mean:.1f}", f"± {std:.1f}") for mean, std in row)] for name, row in TABLE_6.items()]
    note = "BRACS, in percent; 'random' and 'PathUp' are trained with synthetic large images as well (A3-11)."
    return [Table("The paper's Table 6: F1 by class", ["Classifier", *TABLE_6_CLASSES, "Mean"], rows, note=note)]


def _class_figures(pictures: Sequence[LargePicture]) -> list[Figure]:
    """Return a figure for each class, in which its images stand side by side, and one of their centres."""
    figures = []
    for class_name, detail in product(dict.fromkeys(picture.class_name for picture in pictures), (False, True)):
        of_class = [picture for picture in pictures if (picture.class_name, picture.detail) == (class_name, detail)]
        shown = _shown(sorted(of_class, key=lambda picture: picture.of != "real"))
        if shown:
            title = f"{class_name}, centres at full resolution" if detail else class_name
            caption = f"{title}: {join_words([picture.of for picture in shown])}."
            figures.append(figure_of(_row(shown), alt=f"Large images, {title}", caption=caption))
    return figures


def _shown(pictures: Sequence[LargePicture]) -> list[LargePicture]:
    """Return some pictures of each set, in the order of the sets."""
    sets = list(dict.fromkeys(picture.of for picture in pictures))
    each = max(1, PANELS // max(1, len(sets)))
    return [picture for name in sets for picture in [p for p in pictures if p.of == name][:each]]


def _row(pictures: Sequence[LargePicture]) -> Image.Image:
    panels = []
    for picture in pictures:
        with Image.open(picture.path) as file:
            image = file.convert("RGB")
        image.thumbnail((PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS)
        panels += [np.asarray(image), np.full((image.height, 4 * GAP, 3), 255, np.uint8)]
    return Image.fromarray(np.concatenate(panels[:-1], axis=1))


def _image_table(
    caption: str, images: Sequence[ImageScores], extractor: str, paper: Mapping[str, Paper | None]
) -> list[Table]:
    """Return a table of both scales; the paper's figures, by name, are those of tiles."""
    rows, shown = [], []
    for level, scale in SCALES.items():
        scored = [(scores, row) for scores in images for row in scores.levels if _is_of(row, level, extractor)]
        for scores, row in scored:
            quoted = paper.get(scores.name) if level == TILE else None
            rows.append([Cell(scores.name, scale), counts_cell(row), *metric_cells(row, quoted)])
        shown += [row for _, row in scored]
        if scored and scored[0][1].real:
            rows.append([Cell("real images", scale), Cell(""), *real_cells(scored[0][1])])
    if not rows:
        return []
    columns = ["Drawn by", "Images", *TITLES]
    return [Table(f"{caption}, in the features of {extractor}", columns, rows, note=metrics_note(shown), stacked=True)]


def _is_of(row: LevelScores, level: str, extractor: str) -> bool:
    return (row.level, row.extractor) == (level, extractor)


def _seams_table(images: Sequence[ImageScores]) -> list[Table]:
    if not images:
        return []
    rows = [
        [scores.name, mean_text(scores.seams.mean, scores.seams.std, TWO_DECIMALS), value_text(scores.repeated, ".1%")]
        for scores in images
    ]
    real = images[0]
    rows.append(["real images", value_text(real.real_seams, TWO_DECIMALS), value_text(real.real_repeated, ".1%")])
    columns = ["Drawn by", "Seams", "Repeated tissue"]
    return [Table("Seams and repeated tissue", columns, [cells(*row) for row in rows], note=SEAMS_NOTE)]
