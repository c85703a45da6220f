"""The pixels of the patches of a memorisation audit, searched for copies."""

from dataclasses import dataclass

import numpy as np

from histoforge.metrics.exact_copies import Copies, PixelKeys, find_copies, pixel_keys, symmetric_pixel_keys
from histoforge.metrics.registered_copies import MAX_COMPARED, Gallery, RegisteredCopies, find_registered_copies
from histoforge.metrics.structure import Structure
from histoforge.patches.blocks import Images, rows_of


@dataclass(frozen=True)
class AuditPixels:
    """Patches of one size, patch sets or uint8 [N, H, W, 3].

    Attributes:
        synthetic, training: the patches that are compared.
        held_out: searched for exact copies, or None.
        max_compared: maximum number of synthetic patches searched for registered copies.
    """

    synthetic: Images
    training: Images
    held_out: Images | None = None
    max_compared: int = MAX_COMPARED

    def exact_copies(self) -> Copies:
        """Find synthetic patches with the same pixels as another patch, in any flip or rotation."""
        held_out = np.empty(0, np.uint64) if self.held_out is None else pixel_keys(self.held_out)
        return find_copies(PixelKeys(symmetric_pixel_keys(self.synthetic), pixel_keys(self.training), held_out))

    def registered_copies(self, seed: int) -> RegisteredCopies:
        """Find synthetic patches that show the structure of a training patch."""
        return find_registered_copies(self.synthetic, Gallery.of(self.training, seed), seed, self.max_compared)

    def with_detail(self, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the pairs (synthetic row, other row) whose synthetic patch shows any detail: all glass is alike."""
        if not pairs:
            return []
        has_detail = Structure.of(rows_of(self.synthetic, np.array([row for row, _ in pairs]))).has_detail
        return [pair for pair, detailed in zip(pairs, has_detail.tolist(), strict=True) if detailed]
