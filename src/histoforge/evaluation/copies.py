"""The pairs of synthetic and training patches that the memorisation audit took for copies, with the reasons."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.metrics.memorisation import MemorisationAudit
from histoforge.metrics.structure import symmetries, turned
from histoforge.patches import PatchSet


@dataclass(frozen=True)
class CopyPair:
    """A synthetic patch and the training patch that it shows, each uint8 [H, W, 3].

    Attributes:
        turned: the synthetic patch, flipped and rotated like the training patch.
        reason: why the pair was flagged.
    """

    class_name: str
    synthetic: NDArray[np.uint8]
    turned: NDArray[np.uint8]
    training: NDArray[np.uint8]
    reason: str


def copy_pairs(audit: MemorisationAudit, synthetic: PatchSet, training: PatchSet, count: int) -> list[CopyPair]:
    """Return the flagged pairs, those with the same pixels first, then by correlation.

    Args:
        audit: the result of the audit of these patches.
        synthetic, training: the patches to which its rows refer.
        count: maximum number of pairs.
    """
    exact = [(row, match, None, None) for row, match in audit.duplicates or []]
    rows = {row for row, *_ in exact}
    flagged = audit.registered.flagged if audit.registered is not None else []
    similar = [(p.synthetic, p.training, p.view, p.correlation) for p in flagged if p.synthetic not in rows]
    pairs = []
    for row, match, named_view, correlation in [*exact, *similar][:count]:
        drawn, original = (patches.images(np.array([r]))[0] for patches, r in ((synthetic, row), (training, match)))
        view = _equal_view(drawn, original) if named_view is None else named_view
        pairs.append(
            CopyPair(
                class_name=synthetic.classes[synthetic.labels[row]],
                synthetic=drawn,
                turned=turned(drawn, view),
                training=original,
                reason=_reason(view, correlation, square=drawn.shape[0] == drawn.shape[1]),
            )
        )
    return pairs


def _equal_view(drawn: NDArray[np.uint8], original: NDArray[np.uint8]) -> int:
    views = symmetries(torch.from_numpy(np.ascontiguousarray(drawn)).permute(2, 0, 1)).permute(0, 2, 3, 1).numpy()
    return next((view for view, image in enumerate(views) if np.array_equal(image, original)), 0)


def _reason(view: int, correlation: float | None, *, square: bool) -> str:
    turns = 4 if square else 2
    degrees = view % turns * (360 // turns)
    changes = [f"rotated by {degrees} degrees"] if degrees else []
    changes += ["mirrored"] if view >= turns else []
    same = "same pixels" if correlation is None else f"same structure, correlation {correlation:.2f}"
    return ", ".join([same, " and ".join(changes)] if changes else [same])
