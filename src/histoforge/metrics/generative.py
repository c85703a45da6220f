"""All generative metrics of one pair of feature sets, with the information needed to judge them."""

from functools import cached_property

from pydantic import ConfigDict, Field

from histoforge.core.timings import spent
from histoforge.metrics import clipped
from histoforge.metrics.cmmd import gaussian_mmd
from histoforge.metrics.features import Features, same_space
from histoforge.metrics.frechet import FrechetReference
from histoforge.metrics.kid import KernelDistances, kernel_distances
from histoforge.metrics.prdc import ManifoldScores, manifold_scores
from histoforge.metrics.results import Result
from histoforge.metrics.table import feature_metrics

MIN_SAMPLES = 2048


class FeatureComparison:
    """Features of real and generated patches, and the values that several metrics derive from them.

    Attributes:
        real: float [N, D].
        fake: float [M, D].
        neighbours: k of the metrics that use nearest neighbours.
        seed: seed of subsets.
        n_smaller: the smaller of N and M.
    """

    def __init__(
        self,
        real: Features,
        fake: Features,
        neighbours: int = 5,
        seed: int = 0,
        reference: FrechetReference | None = None,
    ) -> None:
        """Take the features.

        Args:
            reference: the statistics of `real`, if they have already been computed.

        Raises:
            ValueError: the features are not finite, or have different dimensions.
        """
        self.real, self.fake = same_space(real, fake)
        self.neighbours, self.seed = neighbours, seed
        self.n_smaller = min(len(self.real), len(self.fake))
        self._reference = reference

    @cached_property
    def reference(self) -> FrechetReference:
        """The statistics of `real`."""
        return self._reference or FrechetReference(self.real)

    @cached_property
    def kernel(self) -> KernelDistances | None:
        """Kernel distances; None for fewer than two samples."""
        return kernel_distances(self.real, self.fake, seed=self.seed) if self.n_smaller >= 2 else None

    @cached_property
    def manifold(self) -> ManifoldScores | None:
        """Precision, recall, density and coverage; None for no more samples than neighbours."""
        return manifold_scores(self.real, self.fake, self.neighbours) if self.n_smaller > self.neighbours else None


def fid(comparison: FeatureComparison) -> float | None:
    """Return the squared Frechet distance."""
    return comparison.reference.distance(comparison.fake) if comparison.n_smaller >= 2 else None


def kid(comparison: FeatureComparison) -> float | None:
    """Return the unbiased squared MMD over all samples."""
    return comparison.kernel.value if comparison.kernel else None


def precision(comparison: FeatureComparison) -> float | None:
    """Return the share of fakes inside the neighbourhood of a real sample."""
    return comparison.manifold.precision if comparison.manifold else None


def recall(comparison: FeatureComparison) -> float | None:
    """Return the share of real samples inside the neighbourhood of a fake."""
    return comparison.manifold.recall if comparison.manifold else None


def density(comparison: FeatureComparison) -> float | None:
    """Return the mean number of real neighbourhoods around a fake, divided by the number of neighbours."""
    return comparison.manifold.density if comparison.manifold else None


def coverage(comparison: FeatureComparison) -> float | None:
    """Return the share of real neighbourhoods that contain a fake."""
    return comparison.manifold.coverage if comparison.manifold else None


def clipped_density(comparison: FeatureComparison) -> float | None:
    """Return the density of fakes, each of which counts at most once; see `clipped.clipped_density`."""
    enough = comparison.n_smaller > comparison.neighbours
    return clipped.clipped_density(comparison.real, comparison.fake, comparison.neighbours) if enough else None


def clipped_coverage(comparison: FeatureComparison) -> float | None:
    """Return the calibrated coverage of real samples; see `clipped.clipped_coverage`."""
    enough = comparison.n_smaller > comparison.neighbours
    return clipped.clipped_coverage(comparison.real, comparison.fake, comparison.neighbours) if enough else None


def cmmd(comparison: FeatureComparison) -> float | None:
    """Return the squared MMD with a Gaussian kernel, of features of length 1; see `cmmd.gaussian_mmd`."""
    return gaussian_mmd(comparison.real, comparison.fake) if comparison.n_smaller >= 2 else None


class GenerativeMetrics(Result):
    """Similarity of generated patches to real ones, measured in the features of one extractor.

    Metrics that are registered besides the ones below are further fields.

    Attributes:
        extractor: the network whose features these are.
        dimensions: number of features D.
        n_real, n_fake: number of samples on each side.
        fid: squared Frechet distance.
        kid: unbiased squared MMD over all samples; may be below zero.
        kid_subsets: clean-fid's KID, the mean over 100 subsets of at most 1,000 samples.
        kid_deviation: standard deviation between those subsets; None where each side is a single subset.
        precision, recall, density, coverage: see `prdc.ManifoldScores`.
        neighbours: the k that these four use.
        enough: True if there are enough samples to compare FID with other results.
        note: a caution for the reader; empty if there is none.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    extractor: str
    dimensions: int
    n_real: int
    n_fake: int
    fid: float | None
    kid: float | None
    kid_subsets: float | None
    kid_deviation: float | None
    precision: float | None
    recall: float | None
    density: float | None
    coverage: float | None
    neighbours: int
    enough: bool
    note: str

    def value(self, name: str) -> float | None:
        """Return a metric by name; None if it was not computed."""
        value: float | None = getattr(self, name, None)
        return value


@spent("compute")
def generative_metrics(
    real: Features,
    fake: Features,
    extractor: str,
    *,
    neighbours: int = 5,
    seed: int = 0,
    reference: FrechetReference | None = None,
) -> GenerativeMetrics:
    """Compute all registered metrics of features [N, D] (real) and [M, D] (fake).

    A metric that has too few samples is None, and the note gives the reason.

    Args:
        extractor: the name of the network that made the features.
        neighbours, seed, reference: see `FeatureComparison`.

    Raises:
        ValueError: the features are not finite, or have different dimensions.
    """
    comparison = FeatureComparison(real, fake, neighbours, seed, reference)
    n_real, n_fake, dimensions = len(comparison.real), len(comparison.fake), comparison.real.shape[1]
    kernel = comparison.kernel
    note = sample_note(n_real, n_fake, dimensions, neighbours)
    return GenerativeMetrics(
        extractor=extractor,
        dimensions=dimensions,
        n_real=n_real,
        n_fake=n_fake,
        kid_subsets=kernel.subset_mean if kernel else None,
        kid_deviation=kernel.subset_deviation if kernel else None,
        neighbours=neighbours,
        enough=not note,
        note=note,
        **{metric.name: metric.function(comparison) for metric in feature_metrics()},
    )


def sample_note(n_real: int, n_fake: int, dimensions: int, neighbours: int = 5) -> str:
    """Explain in one sentence why there are too few samples; empty if there are enough.

    FID is biased upwards by about D / N (Chong and Forsyth 2020), and its covariances lack full rank where N <= D.
    """
    smaller = min(n_real, n_fake)
    counts = f"{n_real:,} real and {n_fake:,} generated patches"
    if smaller < 2:
        return f"{counts} are too few to compare distributions."
    if smaller <= neighbours:
        return f"{counts} are too few for precision, recall, density and coverage with {neighbours} neighbours."
    if smaller <= dimensions:
        return (
            f"{counts} are fewer than the {dimensions:,} features need: FID is biased upwards and only comparable at "
            "the same counts; read KID."
        )
    if smaller < MIN_SAMPLES:
        return (
            f"{counts} are fewer than {MIN_SAMPLES:,}: FID is biased upwards and only comparable at the same "
            "counts; read KID."
        )
    return ""
