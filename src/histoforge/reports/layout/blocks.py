"""Building blocks of a page: sections of text, figures, tables, matrices and galleries of patches."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Text:
    """Paragraphs of plain text; HTML in them is escaped."""

    paragraphs: Sequence[str]
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Figure:
    """A drawing or a picture.

    Attributes:
        alt: description for readers who cannot see the figure.
        caption: what the figure shows and how to read it.
        svg: the drawing; a figure has either this or `image`.
        image: the picture as a data address.
        size: the picture's width and height, px.
    """

    alt: str
    caption: str
    svg: Markup | None = None
    image: str = ""
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Figures:
    """Figures side by side where the page is wide enough, stacked on a phone; wide figures are always stacked."""

    figures: Sequence[Figure]
    wide: bool = False
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Cell:
    """A table cell: a main text with a smaller one below it.

    Attributes:
        tone: 'good', 'bad' or ''; never the only carrier of the meaning.
        share: 0 to 1, shaded behind the text; None for no shade.
    """

    text: str
    small: str = ""
    tone: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows.

    Attributes:
        stacked: show each row as a card on a phone, for tables with wide cells.
        textual: the cells contain text rather than numbers: align them to the left and wrap them where necessary.
        marked: index of the highlighted row, or None.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    stacked: bool = False
    textual: bool = False
    marked: int | None = None
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Matrices:
    """Small tables side by side, such as confusion matrices."""

    tables: Sequence[Table]
    note: str = ""
    kind: ClassVar[str] = "matrices"


@dataclass(frozen=True)
class Thumbnail:
    """A patch in a gallery: its picture as a data address, a description, and a line below it."""

    image: str
    alt: str
    text: str = ""


@dataclass(frozen=True)
class Gallery:
    """Patches in rows, each row with a title."""

    caption: str
    rows: Sequence[tuple[str, Sequence[Thumbnail]]]
    paired: bool = False
    kind: ClassVar[str] = "gallery"


@dataclass(frozen=True)
class Details:
    """Text such as settings, folded away until the reader opens it."""

    title: str
    text: str
    kind: ClassVar[str] = "details"


Block = Text | Figures | Table | Matrices | Gallery | Details


@dataclass(frozen=True)
class Section:
    """A section of the page; it is left out if it has no blocks.

    Attributes:
        id: its anchor.
        lead: the question that the section answers, in a sentence or two.
    """

    id: str
    title: str
    lead: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        verdict: a `study_findings.Verdict`; sets the colour of the answer.
        headline: the answer in one sentence.
        answer: the sentences below the headline.
        caveats: what lessens the answer's worth, in the same box.
        key_numbers: the most important numbers, each with its value and its meaning.
        warnings: what the reader must know before trusting the answer.
        data_file: name of the JSON file that contains the numbers of the page.
    """

    title: str
    subtitle: str
    verdict: str
    headline: str
    answer: Sequence[str]
    key_numbers: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    sections: Sequence[Section] = field(default_factory=tuple)
    data_file: str = "metrics.json"
    caveats: Sequence[str] = ()


def cells(*texts: Any) -> list[Cell]:
    """Return a row of plain cells."""
    return [text if isinstance(text, Cell) else Cell(str(text)) for text in texts]
