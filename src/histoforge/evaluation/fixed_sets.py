"""Synthetic patches in the place of a generator that is not at hand: a part of them is scored instead of a drawing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from histoforge.core.errors import PatchSetError
from histoforge.core.seeds import numpy_rng
from histoforge.evaluation import scoring
from histoforge.evaluation.codecs import codec_warnings
from histoforge.evaluation.generator_scores import Drawing
from histoforge.evaluation.scoring import Labels
from histoforge.patches import PatchSet
from histoforge.patches.description import INFO_NAME
from histoforge.patches.matching import check_same_format
from histoforge.training.model_files import ModelInfo

METHOD = "patch set"
FEWEST = 10
"""Number of patches below which no metric means anything; `count` has the same bound."""


def is_patch_set(path: Path) -> bool:
    """Return True for the directory of a patch set."""
    return (Path(path) / INFO_NAME).is_file()


class FixedSet:
    """Synthetic patches that exist already. No seed, latent space, further draw or cost of drawing belongs to them.

    Attributes:
        info: a description like that of a generator, with the digest of the patch set.
    """

    def __init__(self, patches: PatchSet, warnings: Sequence[str] = ()) -> None:
        made_by = patches.info.made_by
        self.info = ModelInfo(
            kind="generator",
            method=METHOD,
            config={"origin": made_by.get("origin") or {}},
            classes=patches.classes,
            patch_size=patches.patch_size,
            mpp=patches.info.mpp,
            training={"source": str(made_by.get("config", {}).get("source", "")), "warnings": list(warnings)},
            digest=patches.digest,
        )
        self._patches = patches

    @classmethod
    def open(cls, path: Path, real: PatchSet) -> "FixedSet":
        """Open synthetic patches, and check that they have the classes and the size of the real ones.

        Raises:
            PatchSetError: they have not, they are damaged, or they are real.
        """
        patches = PatchSet.open(path)
        if not patches.info.synthetic:
            raise PatchSetError(f"{path} holds real patches: give a generator, or a set of synthetic patches.")
        advice = "bring them into its form with 'histoforge import-patches'"
        subject = f"The synthetic patches {path} have"
        check_same_format(subject, patches, "the patch set", real, advice, PatchSetError)
        return cls(patches, codec_warnings(real, patches))

    def choose(self, train: PatchSet, count: int, balanced: bool, seed: int) -> tuple[PatchSet, Drawing]:
        """Choose N patches at random, none of them twice, and return them with their record.

        Where a class has too few patches, N is below `count`, so that the classes keep their shares.

        Args:
            train: the real patches whose shares of classes are kept.
            count: maximum number of patches.
            balanced: True for as many patches of each class instead.
            seed: seed of the choice.

        Raises:
            PatchSetError: fewer than `FEWEST` patches are left.
        """
        labels = self._labels(train, count, balanced, seed)
        if len(labels) < FEWEST:
            raise PatchSetError(
                f"Of the {len(self._patches):,} synthetic patches, fewer than {FEWEST} can be chosen in the shares of "
                "the classes: add patches of the rarest one."
            )
        rows = np.empty(len(labels), np.int64)
        for label in range(len(self.info.classes)):
            of_class = numpy_rng(seed, "chosen", label).permutation(np.flatnonzero(self._patches.labels == label))
            rows[labels == label] = of_class[: (labels == label).sum()]
        by_class = dict(zip(self.info.classes, self._counts(labels).tolist(), strict=True))
        return self._patches.where(rows), Drawing(count=len(labels), by_class=by_class)

    def _labels(self, train: PatchSet, count: int, balanced: bool, seed: int) -> Labels:
        """Return the labels of `count` patches, or of as many as the rarest class allows."""
        labels = scoring.labels_to_draw(train, count, balanced, seed)
        wanted, available = self._counts(labels), self._counts(self._patches.labels)
        if (wanted <= available).all():
            return labels
        possible = int(np.ceil(count * (available[wanted > 0] / wanted[wanted > 0]).min()))
        return self._labels(train, min(possible, count - 1), balanced, seed)

    def _counts(self, labels: Labels) -> Labels:
        return np.bincount(labels, minlength=len(self.info.classes))
