"""The selection rules by name. Imports nothing heavy: `--help` is built from this table."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from histoforge.core.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histoforge.selection.rankings import ClassPool


@dataclass(frozen=True)
class Rule:
    """A rule that chooses the candidates to keep.

    Attributes:
        name: its name in the settings, and of its function in `module`.
        description: what it prefers, for `--help` and the report.
        module: the module with the function `<name>(pool: ClassPool) -> order`.
        scores: the scores that it ranks by, the first one first; the report explains them.
        has_threshold: True if it keeps only candidates with a confidence above the setting `threshold`.
    """

    name: str
    description: str
    module: str
    scores: tuple[str, ...] = ()
    has_threshold: bool = False

    def rank(self, pool: "ClassPool") -> "NDArray[np.int64]":
        """Return the indices of the candidates of one class, the first to keep first, int64 [n]."""
        order: NDArray[np.int64] = getattr(import_module(self.module), self.name)(pool)
        return order


_MODULE = "histoforge.selection.rankings"

RULES: Registry[Rule] = Registry(
    "selection rule",
    (
        Rule(
            "entropy_centroid",
            "low entropy first, then near the class centroid (Algorithm 1 of Xue et al. 2021)",
            _MODULE,
            scores=("entropy", "distance"),
        ),
        Rule("distance", "near the class centroid (single filtering, Xue et al. 2019)", _MODULE, scores=("distance",)),
        Rule("random", "at random (no selection)", _MODULE),
        Rule(
            "confidence",
            "high probability of the assigned class",
            _MODULE,
            scores=("confidence",),
            has_threshold=True,
        ),
    ),
    group="histoforge.selection_rules",
)
