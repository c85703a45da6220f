"""Judge synthetic patches: are they told from real ones, do they show tissue, and are they of their class?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.classifiers.network import Classifier
from histoforge.ingest.pixels import tissue_share
from histoforge.metrics.extract import NamedExtractor, extract_features
from histoforge.metrics.features import nearest
from histoforge.metrics.results import Result
from histoforge.metrics.two_sample import TwoSampleTest, two_sample_test
from histoforge.patches import PatchSet
from histoforge.patches.blocks import Images, read_blocks

TOLD_APART = 0.95
"""AUC of the two-sample test from which on patches count as told from real ones almost perfectly."""
REACHED_BY_REAL = 0.99
"""Share of held-out real patches that lie within the reach of real colours and textures, by definition."""
MOSTLY = 0.5
"""Share of patches, or part of the value that real patches reach, from which on a finding becomes a warning."""
UNSURE = 0.5
"""Median probability of the assigned class below which patches do not count as of their class."""
HARD_PATCHES = 0.05
"""For a judge that is unsure of real patches too: quantile of their probabilities that synthetic ones must reach."""
REFERENCE_PATCHES = 1000
"""Maximum number of held-out patches that are blurred or shuffled for reference."""
MIN_TISSUE = 0.5
"""Minimum fraction of tissue, if the patch set does not say which one `preprocess` used."""


class ClassRealism(Result):
    """Synthetic patches of one class beside real ones.

    Attributes:
        name: the class.
        patches, real_patches: numbers of synthetic and of held-out real patches.
        tissue, real_tissue: share of synthetic and of training patches with as much tissue as `preprocess` demands.
        outside: share of synthetic patches whose colours or textures lie outside the reach of real patches.
        probability: median probability of the assigned class; None without a judge.
        real_probability, real_low: median and 5% quantile of this probability among held-out real patches.
    """

    name: str
    patches: int
    real_patches: int
    tissue: float
    real_tissue: float | None
    outside: float | None
    probability: float | None
    real_probability: float | None
    real_low: float | None

    @property
    def lacks_tissue(self) -> bool:
        """True if far fewer synthetic than real patches show tissue."""
        return self.real_tissue is not None and self.tissue < MOSTLY * self.real_tissue

    @property
    def bound(self) -> float | None:
        """The median probability below which patches do not count as of their class; None without real patches."""
        if self.real_probability is None or self.real_low is None:
            return None
        return UNSURE if self.real_probability >= UNSURE else self.real_low

    @property
    def of_other_class(self) -> bool:
        """True if the median probability of the assigned class is below the bound."""
        return self.bound is not None and self.probability is not None and self.probability < self.bound


class Realism(Result):
    """The realism of the synthetic patches.

    Attributes:
        subset: the set that this is about, such as 'selected'.
        features: the features that tell sets apart.
        two_sample: the set against held-out real patches; None with too few patches or patients.
        real_two_sample: the same for training patches in place of synthetic ones, which shows what real patches reach.
        classes: one entry per class that has synthetic patches.
        judge: name of the classifier that gives the probabilities; '' if there is none.
        judge_selected: True if this classifier also selected the patches.
    """

    subset: str
    features: str
    two_sample: TwoSampleTest | None
    real_two_sample: TwoSampleTest | None
    classes: list[ClassRealism]
    judge: str
    judge_selected: bool

    @property
    def told_apart(self) -> bool:
        """True if synthetic patches are told from real ones almost perfectly, and training patches are not."""
        real = self.real_two_sample.auc if self.real_two_sample else 0.5
        return self.two_sample is not None and self.two_sample.auc >= TOLD_APART > real

    @property
    def outside(self) -> float | None:
        """Share of all synthetic patches outside the reach of real ones."""
        shares = [(each.outside, each.patches) for each in self.classes if each.outside is not None]
        return sum(share * n for share, n in shares) / sum(n for _, n in shares) if shares else None


@dataclass(frozen=True)
class Sides:
    """Features of synthetic, training and held-out patches, [S, D], [T, D] and [H, D]."""

    synthetic: NDArray[np.float32]
    train: NDArray[np.float32]
    held_out: NDArray[np.float32]

    @classmethod
    def join(cls, spaces: "Sequence[Sides]") -> "Sides":
        """Return the features of several extractors side by side."""
        names = ("synthetic", "train", "held_out")
        return cls(*(np.concatenate([getattr(space, name) for space in spaces], axis=1) for name in names))


@dataclass(frozen=True)
class Judgement:
    """Probabilities of all classes by one classifier, of synthetic and of held-out patches, [S, C] and [H, C].

    Attributes:
        judge: name of the classifier.
        selected: True if it also selected the synthetic patches.
    """

    judge: str
    selected: bool
    synthetic: NDArray[np.floating]
    held_out: NDArray[np.floating]


def judge_classes(
    classifier: Classifier,
    synthetic: PatchSet,
    held_out: PatchSet,
    selected: bool,
    batch_size: int,
    device: torch.device,
) -> Judgement:
    """Return the probabilities that a classifier gives synthetic and held-out patches.

    Args:
        selected: whether the classifier also selected the synthetic patches.
    """
    predictor = NamedExtractor(classifier.name, lambda images: classifier(images).softmax(1))
    probabilities = [
        extract_features(predictor, patches, device, batch_size=batch_size, label="probabilities")
        for patches in (synthetic, held_out)
    ]
    return Judgement(classifier.name, selected, *probabilities)


def measure_realism(
    subset: str,
    images: Images,
    labels: NDArray[np.int64],
    train: PatchSet,
    held_out: PatchSet,
    *,
    pixels: Sides,
    spaces: Sides,
    features: str,
    judgement: Judgement | None,
    seed: int,
) -> Realism:
    """Measure what synthetic patches are.

    Args:
        subset: name of the set.
        images: the synthetic patches.
        labels: their classes, int64 [S].
        train, held_out: real patches.
        pixels: features of `PixelStatistics`.
        spaces: features for the two-sample test; their extractors are named by `features`.
        judgement: probabilities; None without a classifier.
        seed: seed of the two-sample test.
    """
    patients, of_train = held_out_groups(held_out), (train.labels, held_out.labels)
    return Realism(
        subset=subset,
        features=features,
        two_sample=two_sample_test(
            spaces.synthetic, spaces.held_out, patients, classes=(labels, held_out.labels), seed=seed
        ),
        real_two_sample=two_sample_test(spaces.train, spaces.held_out, patients, classes=of_train, seed=seed),
        classes=_classes(images, labels, train, held_out, pixels, judgement),
        judge=judgement.judge if judgement else "",
        judge_selected=judgement.selected if judgement else False,
    )


def held_out_groups(patches: PatchSet) -> NDArray[np.object_]:
    """Return what the two-sample test groups by: patients, or else slides, or else patches."""
    for column in ("patient", "slide"):
        names = patches.index[column].astype(str).to_numpy(object)
        if (names != "").all():
            return names
    return np.arange(len(patches)).astype(str).astype(object)


def _classes(
    images: Images,
    labels: NDArray[np.int64],
    train: PatchSet,
    held_out: PatchSet,
    pixels: Sides,
    judgement: Judgement | None,
) -> list[ClassRealism]:
    minimum = float(train.info.made_by.get("config", {}).get("min_tissue", MIN_TISSUE))
    tissue, real_tissue = _tissue_shares(images) >= minimum, _tissue_shares(train) >= minimum
    outside = _outside(pixels)
    rows = []
    for label, name in enumerate(train.classes):
        of_class, real_of_class = labels == label, held_out.labels == label
        if not of_class.any():
            continue
        probability, real = None, np.empty(0)
        if judgement is not None:
            probability = float(np.median(judgement.synthetic[of_class, label]))
            real = judgement.held_out[real_of_class, label]
        rows.append(
            ClassRealism(
                name=name,
                patches=int(of_class.sum()),
                real_patches=int(real_of_class.sum()),
                tissue=float(tissue[of_class].mean()),
                real_tissue=_mean(real_tissue[train.labels == label]),
                outside=None if outside is None else float(outside[of_class].mean()),
                probability=probability,
                real_probability=float(np.median(real)) if len(real) else None,
                real_low=float(np.quantile(real, HARD_PATCHES)) if len(real) else None,
            )
        )
    return rows


def _mean(values: NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None


def _tissue_shares(patches: Images) -> NDArray[np.float64]:
    """Return the share of each patch that is not empty glass, by the rule of `preprocess`; float64 [N]."""
    return np.concatenate([np.empty(0), *(tissue_share(pixels) for _, pixels in read_blocks(patches))])


def _outside(pixels: Sides) -> NDArray[np.bool_] | None:
    """Return which synthetic patches are farther from all training patches than 99% of held-out patches are, [S]."""
    if not len(pixels.train) or not len(pixels.held_out):
        return None
    train = torch.from_numpy(pixels.train)
    distances, real = (nearest(torch.from_numpy(side), train)[0] for side in (pixels.synthetic, pixels.held_out))
    return (distances > real.quantile(REACHED_BY_REAL)).numpy()
