"""The tiles of an image: equal squares in rows and columns, the last ones flush with its borders. Imports no torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TileGrid:
    """The tiles of an image, row by row.

    Attributes:
        side: height and width of a tile, px.
        tops: upper edges of the rows, px.
        lefts: left edges of the columns, px.
    """

    side: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def covering(cls, size: tuple[int, int], side: int, overlap: int) -> "TileGrid":
        """Return the tiles that cover an image of a height and width of at least `side` px.

        Neighbours overlap by `overlap` px, less than `side`, and the last row and column by more where the image ends
        sooner.
        """
        tops, lefts = (tuple(sorted({*range(0, length - side, side - overlap), length - side})) for length in size)
        return cls(side, tops, lefts)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return len(self.tops), len(self.lefts)

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Top and left of each tile, px."""
        return [(top, left) for top in self.tops for left in self.lefts]

    def cut(self, images: "Tensor") -> list["Tensor"]:
        """Return the tiles of images [B, C, H, W], each [B, C, side, side]."""
        return [images[:, :, top : top + self.side, left : left + self.side] for top, left in self.corners]
