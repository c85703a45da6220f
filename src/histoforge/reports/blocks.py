"""What a page is made of: sections of text, figures, tables, matrices and galleries of patches."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Text:
    """Paragraphs, each shown as it is (nothing in it is taken for HTML)."""

    paragraphs: Sequence[str]
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Figure:
    """A drawing or a picture.

    Attributes:
        alt: what is to be seen, for who does not see it.
        caption: what one sees and how to read it.
        svg: the drawing, or
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
    """Figures side by side where there is room, below one another on a phone; wide ones always so."""

    figures: Sequence[Figure]
    wide: bool = False
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Cell:
    """A table's cell: a main text, and a smaller one below it.

    Attributes:
        tone: 'good', 'bad' or ''; never the only carrier of what is said.
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
        stacked: on a phone each row becomes a card, for tables of wide cells.
        words: cells are words, not figures: set to the left, and broken where need be.
        marked: the row that is set off, or None.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    stacked: bool = False
    words: bool = False
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
    """A patch in a gallery: its picture as a data address, what it is, and a line below it."""

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
    """Settings and the like as text that is folded away until it is asked for."""

    title: str
    text: str
    kind: ClassVar[str] = "details"


Block = Text | Figures | Table | Matrices | Gallery | Details


@dataclass(frozen=True)
class Section:
    """A part of the page; one without blocks is left out.

    Attributes:
        id: its anchor.
        lead: what this part answers, in a sentence or two.
    """

    id: str
    title: str
    lead: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """The whole report.

    Attributes:
        verdict: 'better', 'worse', 'no_difference' or 'too_few'; colours the answer.
        answer: the first lines, plain words.
        facts: figures below the answer: value, what it is.
        warnings: what the reader must know before believing the answer.
        numbers: the file beside the page that holds its numbers.
    """

    title: str
    subtitle: str
    verdict: str
    headline: str
    answer: Sequence[str]
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    sections: Sequence[Section] = field(default_factory=tuple)
    numbers: str = "metrics.json"


def cells(*texts: Any) -> list[Cell]:
    """A row of plain cells."""
    return [text if isinstance(text, Cell) else Cell(str(text)) for text in texts]
