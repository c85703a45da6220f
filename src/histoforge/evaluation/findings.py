"""The findings of an evaluation, before anything is drawn from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoforge.evaluation.copies import CopyPair
from histoforge.evaluation.large_images import LargeImageFindings
from histoforge.evaluation.realism import Realism
from histoforge.evaluation.study_findings import StudyFindings
from histoforge.metrics.extractor_check import ExtractorCheck
from histoforge.metrics.generative import GenerativeMetrics
from histoforge.metrics.memorisation import MemorisationAudit


@dataclass(frozen=True)
class GenerativeRow:
    """Generative metrics of one set of patches against a set of real ones; both are named in words."""

    subset: str
    against: str
    metrics: GenerativeMetrics


@dataclass(frozen=True)
class Projection:
    """t-SNE coordinates [N, 2] of real training patches and the candidate pool; origin 'real', 'kept' or 'rejected'."""

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    origin: NDArray[Any]
    extractor: str


@dataclass(frozen=True)
class PoolFindings:
    """The scored candidates of the pool.

    Attributes:
        labels: int64 [N].
        kept: bool [N].
        scores: float [N] by name.
        rule: how the candidates were chosen, in words.
        decisive: names of the scores that the rule uses.
    """

    labels: NDArray[np.int64]
    kept: NDArray[np.bool_]
    scores: dict[str, NDArray[np.float64]]
    rule: str
    decisive: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """A synthetic patch, its nearest training patch and its nearest held-out patch, each uint8 [H, W, 3].

    Attributes:
        distance, held_out_distance: distances to the two, in the extractor's features.
    """

    class_name: str
    synthetic: NDArray[np.uint8]
    training: NDArray[np.uint8]
    held_out: NDArray[np.uint8]
    distance: float
    held_out_distance: float


@dataclass(frozen=True)
class SyntheticFindings:
    """Synthetic patches compared with real ones; what could not be computed is None or empty."""

    pool: PoolFindings | None = None
    generative: Sequence[GenerativeRow] = ()
    audit: MemorisationAudit | None = None
    pairs: Sequence[Pair] = ()
    copies: Sequence[CopyPair] = ()
    projection: Projection | None = None
    checks: Sequence[ExtractorCheck] = ()
    realism: Realism | None = None


@dataclass(frozen=True)
class GeneratorRow:
    """One of several generators or sets of given patches.

    Attributes:
        fold: the fold that it was trained on; -1 for a single split.
        generator_seed: its seed; None if it is not recorded.
        digest: its identity; '' if it was not given.
        epochs: chosen epoch by class, or under '' for all classes.
        candidates, kept: number of its patches; no candidates if only the kept ones were given.
        extractor: the network in whose features it was compared.
        fid: FID of its kept patches (all, if none were selected) against the patches that its fold tests.
        realism: what its kept patches are beside those of its fold; None without patches.
        copied, verdict: the finding of the memorisation audit against the training patches of its fold; None and ''
            without patches.
        name: the name of given patches; '' for a generator.
        generative: all metrics of the kept patches against those that its fold tests: for given patches, and for the
            first row, in every space; for other generators, in the features of `extractor`.
    """

    fold: int
    generator_seed: int | None
    digest: str = ""
    epochs: Mapping[str, int] = field(default_factory=dict)
    candidates: int = 0
    kept: int = 0
    extractor: str = ""
    fid: float | None = None
    realism: Realism | None = None
    copied: bool | None = None
    verdict: str = ""
    name: str = ""
    generative: Sequence[GenerativeMetrics] = ()

    @property
    def place(self) -> str:
        """Its name, fold and seed in words."""
        name = [self.name] if self.name else []
        fold = [f"fold {self.fold}"] if self.fold >= 0 else []
        seed = [] if self.generator_seed is None else [f"seed {self.generator_seed}"]
        return ", ".join([*name, *fold, *seed])


@dataclass(frozen=True)
class SamplePatch:
    """A patch to show: uint8 [H, W, 3], and a short caption."""

    image: NDArray[np.uint8]
    text: str = ""


@dataclass(frozen=True)
class PictureFile:
    """A picture drawn by an earlier step: its file, its name, and a description of what it shows."""

    path: Path
    name: str
    text: str


@dataclass(frozen=True)
class InputDigests:
    """Digests of the inputs of an evaluation; '' for those that were not given.

    Attributes:
        patches: the real patch set, whose test split was read.
        candidates: the pool of scored candidates.
        selected: the selected patches, given without their pool.
        generator: the generator's model.
        source: the slides or images from which the real patches were cut.
    """

    patches: str
    candidates: str = ""
    selected: str = ""
    generator: str = ""
    source: str = ""


@dataclass(frozen=True)
class ExternalFindings:
    """The arms on a second source, on which nothing was chosen.

    Attributes:
        source: its location.
        source_digest: digest over names, sizes and versions of its files.
        counts: patches by class.
        units: patients (slides, images) by class, and under '' of all classes together.
        study: the arms on all its patches.
        warnings: what lessens the worth of this test, one sentence each.
    """

    source: str
    source_digest: str
    counts: dict[str, int]
    units: dict[str, int]
    study: StudyFindings
    warnings: Sequence[str] = ()

    @property
    def patches(self) -> int:
        """Number of patches."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class NetworkRecord:
    """The record of the training of a network that draws and classifies patches, for one seed of an arm.

    Attributes:
        curves: the series of its history, by name: (epochs, values).
        chosen_epoch: the kept epoch; None if the history does not say.
        pictures: samples, one row per class.
    """

    seed: int
    curves: Mapping[str, tuple[list[float], list[float]]]
    chosen_epoch: int | None
    pictures: Sequence[PictureFile]


@dataclass(frozen=True)
class TopTile:
    """The tile of a test image that a classifier gave the most weight.

    Attributes:
        arm: name of the classifier's arm; the classifier is that of its lowest seed.
        class_name: true class of the image.
        unit: patient (slide, image) that it comes from.
        top, left, side: place of the tile in the network's input, px.
        weight: its share of the attention, 0 to 1.
        tiles: number of tiles that have any.
        predicted, probability: the class with the highest probability, and that probability.
    """

    arm: str
    class_name: str
    unit: str
    top: int
    left: int
    side: int
    weight: float
    tiles: int
    predicted: str
    probability: float


@dataclass(frozen=True)
class AttentionMap:
    """A classifier's attention over an image: its highest tile, and the weight at each pixel, float32 [H, W]."""

    tile: TopTile
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class AttentionExample:
    """A test image, uint8 [H, W, 3], with the attention of a classifier of each arm."""

    image: NDArray[np.uint8]
    maps: Sequence[AttentionMap]


@dataclass(frozen=True)
class Findings:
    """Everything the report shows; parts without input are empty or None.

    Attributes:
        classes: class names.
        counts: real patches by split and class.
        units: patients (slides, images) by split and class.
        samples: patches to show, by class and group ('real', 'synthetic', 'selected', 'rejected').
        curves: the generator's history by series name: (epochs or steps, values); if each class has its own model, by
            'class: series'.
        chosen_epochs: epochs chosen for the generator, by class, or under '' for all classes.
        pictures: the generator's pictures: samples and attention maps.
        networks: records of the networks that draw and classify patches, by arm, one per seed.
        slides: slides with their grids.
        generators: a row for each of several generators; empty if there is one.
        settings: a title and a text for each.
        digests: digests of the inputs.
        provenance: (name, value) rows to display.
        external: the arms on an external test source; None if there was none.
        caveats: what lessens the worth of the whole answer, one short sentence each.
        checks: whether each extractor ranks corrupted real patches sanely.
        realism: what the synthetic patches are.
        attention: test images with the attention of the arms whose network weighs tiles.
        large_images: generators at their spatial levels, and large images; None if neither was given.
    """

    title: str
    subtitle: str
    classes: list[str]
    digests: InputDigests
    counts: dict[str, dict[str, int]]
    units: dict[str, dict[str, int]]
    study: StudyFindings
    warnings: list[str]
    pool: PoolFindings | None = None
    generative: Sequence[GenerativeRow] = ()
    projection: Projection | None = None
    audit: MemorisationAudit | None = None
    pairs: Sequence[Pair] = ()
    copies: Sequence[CopyPair] = ()
    samples: Mapping[str, Mapping[str, Sequence[SamplePatch]]] = field(default_factory=dict)
    curves: Mapping[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    chosen_epochs: Mapping[str, int] = field(default_factory=dict)
    pictures: Sequence[PictureFile] = ()
    networks: Mapping[str, Sequence[NetworkRecord]] = field(default_factory=dict)
    slides: Sequence[PictureFile] = ()
    generators: Sequence[GeneratorRow] = ()
    settings: Sequence[tuple[str, str]] = ()
    provenance: Sequence[tuple[str, str]] = ()
    external: ExternalFindings | None = None
    caveats: Sequence[str] = ()
    checks: Sequence[ExtractorCheck] = ()
    realism: Realism | None = None
    attention: Sequence[AttentionExample] = ()
    large_images: LargeImageFindings | None = None
