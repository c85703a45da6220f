"""Figures as inline SVG in one style that follows the page's colours and stays legible on a phone and in print."""

import hashlib
import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator

INK, FAINT, GRID = "#010203", "#040506", "#070809"
PAGE_COLOURS = {INK: "currentColor", FAINT: "var(--faint)", GRID: "var(--line)"}
GREY = "#9aa4ad"
"""For what a figure compares with: real patches, or rejected candidates."""
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1")
"""Colours that remain distinct under the common forms of colour blindness (Okabe and Ito 2008; the last one added)."""
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
WIDTH, HEIGHT = 4.3, 2.8
ROW_HEIGHT, LINE_HEIGHT = 0.34, 0.14
NAME_WIDTH, LABEL_WIDTH = 24, 42
"""Characters after which names of rows and entries of a legend are wrapped."""

STYLE: Any = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "svg.hashsalt": "histoforge",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


class Drawing:
    """A figure to be rendered as inline SVG.

    Attributes:
        axes: Matplotlib axes to draw on.
        rows: these axes and those below them, which share the horizontal axis.
        svg: the SVG element, available once the `draw` block has ended.
    """

    def __init__(self, figure: MatplotlibFigure, rows: int) -> None:
        self._figure = figure
        self.rows: list[Axes] = figure.subplots(rows, sharex=True, squeeze=False)[:, 0].tolist()
        self.axes = self.rows[0]
        self.svg = Markup("")

    def legend(self, columns: int = 2, title: str | None = None, **style: Any) -> None:
        """Add a legend below the axes in as many columns, at most `columns`, as fit; the figure grows by its height."""
        handles, labels = self.axes.get_legend_handles_labels()
        labels = [textwrap.fill(label, LABEL_WIDTH) for label in labels]
        position: Any = {"loc": "outside lower center", "title_fontsize": STYLE["legend.fontsize"]}
        for count in range(min(columns, len(labels)), 0, -1):
            legend = self._figure.legend(handles, labels, ncols=count, title=title, **position, **style)
            extent = legend.get_window_extent()
            if count == 1 or extent.width <= self._figure.bbox.width:
                self._figure.set_figheight(self._figure.get_figheight() + extent.height / self._figure.dpi)
                break
            legend.remove()

    def label_below(self, text: str) -> None:
        """Label the horizontal axis across the whole figure, for texts that are wider than the axes."""
        self._figure.supxlabel(text, fontsize=STYLE["font.size"])


@contextmanager
def draw(x: str = "", y: str = "", height: float = HEIGHT, rows: int = 1) -> Iterator[Drawing]:
    """Yield axes in the report's style and set the drawing's `svg` when the block ends without an error.

    Args:
        x: label of the horizontal axis.
        y: label of the vertical axes.
        height: inches, without a legend; the width is that of a phone, so that text of 9.5 pt stays readable there.
        rows: number of axes, stacked vertically.
    """
    with matplotlib.rc_context(STYLE):
        figure = MatplotlibFigure(figsize=(WIDTH, height), layout="constrained")
        drawing = Drawing(figure, rows)
        drawing.rows[-1].set_xlabel(x)
        if x == "Epoch":
            drawing.axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        for axes in drawing.rows:
            axes.set_ylabel(y)
        yield drawing
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        drawing.svg = Markup(inline_svg(buffer.getvalue()))


@contextmanager
def draw_rows(names: Sequence[str], x: str) -> Iterator[Drawing]:
    """Yield axes with one horizontal row per name, the first at the top (at height 0, the next at 1)."""
    wrapped = [textwrap.fill(name, NAME_WIDTH) for name in names]
    lines = sum(name.count("\n") for name in wrapped)
    with draw(height=0.75 + ROW_HEIGHT * max(len(names), 2) + LINE_HEIGHT * lines) as drawing:
        drawing.label_below(x)
        drawing.axes.set_yticks(range(len(names)), wrapped)
        drawing.axes.set_ylim(len(names) - 0.5, -0.5)
        drawing.axes.tick_params(axis="y", length=0)
        drawing.axes.grid(visible=False, axis="y")
        yield drawing


def inline_svg(text: str) -> str:
    """Convert an SVG document to an element of an HTML page.

    Removes the prolog, metadata, namespaces and unused ids, makes the remaining ids unique (so that two figures on one
    page do not clash), truncates numbers to two decimals, and replaces the style's inks by those of the page.
    """
    text = text[text.index("<svg") :]
    name = f"f{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    text = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", text)
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    keep = {reference or url for reference, url in used}
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in keep else "", text)
    text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text).replace("xlink:href", "href")
    text = re.sub(r"<[^>]+>", lambda m: re.sub(r"(\d+\.\d\d)\d+", r"\1", m[0]), text)
    for colour, ink in PAGE_COLOURS.items():
        text = text.replace(colour, ink)
    text = re.sub(r'<svg ([^>]*?)(?:width|height)="[^"]*"([^>]*?)(?:width|height)="[^"]*"', r"<svg \1\2", text, count=1)
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def colour(index: int) -> str:
    """Return the palette's colour for the series at `index`; colours repeat after the last one."""
    return PALETTE[index % len(PALETTE)]


def dash(index: int) -> str:
    """Return a line style that distinguishes series whose colours repeat or cannot be seen."""
    return DASHES[index % len(DASHES)]


def marker(index: int) -> str:
    """Return a marker that distinguishes series without their colours."""
    return MARKERS[index % len(MARKERS)]


def line_style(index: int, reference: bool = False) -> dict[str, Any]:
    """Return colour and dashes of the line at `index`; a reference is drawn in the colour of the text."""
    return {"color": INK if reference else colour(index), "linestyle": dash(index)}
