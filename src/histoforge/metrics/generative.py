"""All generative metrics of one pair of feature sets, with the information needed to judge them."""

from histoforge.metrics.features import Features, same_space
from histoforge.metrics.frechet import FrechetReference
from histoforge.metrics.kid import kernel_distances
from histoforge.metrics.prdc import manifold_scores
from histoforge.metrics.results import Result

LEAST_SAMPLES = 2048


class GenerativeMetrics(Result):
    """Similarity of generated patches to real ones, measured in the features of one extractor.

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
        enough: whether there are enough samples to compare FID with other results.
        note: a caution for the reader; empty if there is none.
    """

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


def generative_metrics(
    real: Features,
    fake: Features,
    extractor: str,
    *,
    neighbours: int = 5,
    seed: int = 0,
    reference: FrechetReference | None = None,
) -> GenerativeMetrics:
    """Compute FID, KID, precision, recall, density and coverage of features [N, D] (real) and [M, D] (fake).

    A metric that has too few samples is None, and the note says so.

    Args:
        extractor: the name of the network that made the features.
        seed: seed of the subsets of `kid_subsets`.
        reference: the statistics of `real`, if they have already been computed.

    Raises:
        ValueError: the features are not finite, or have different dimensions.
    """
    reals, fakes = same_space(real, fake)
    n_real, n_fake, dimensions = len(reals), len(fakes), reals.shape[1]
    least = min(n_real, n_fake)
    distances = least >= 2
    kernel = kernel_distances(reals, fakes, seed=seed) if distances else None
    scores = manifold_scores(reals, fakes, neighbours) if least > neighbours else None
    note = sample_note(n_real, n_fake, dimensions, neighbours)
    return GenerativeMetrics(
        extractor=extractor,
        dimensions=dimensions,
        n_real=n_real,
        n_fake=n_fake,
        fid=(reference or FrechetReference(reals)).distance(fakes) if distances else None,
        kid=kernel.value if kernel else None,
        kid_subsets=kernel.subset_mean if kernel else None,
        kid_deviation=kernel.subset_deviation if kernel else None,
        precision=scores.precision if scores else None,
        recall=scores.recall if scores else None,
        density=scores.density if scores else None,
        coverage=scores.coverage if scores else None,
        neighbours=neighbours,
        enough=not note,
        note=note,
    )


def sample_note(n_real: int, n_fake: int, dimensions: int, neighbours: int = 5) -> str:
    """Explain in one sentence why there are too few samples; empty if there are enough.

    FID is biased upwards by about D / N (Chong and Forsyth 2020), and its covariances lack full rank where N <= D.
    """
    least = min(n_real, n_fake)
    counts = f"{n_real:,} real and {n_fake:,} generated patches"
    if least < 2:
        return f"{counts} are too few to compare distributions."
    if least <= neighbours:
        return f"{counts} are too few for precision, recall, density and coverage with {neighbours} neighbours."
    if least <= dimensions:
        return (
            f"{counts} are fewer than the {dimensions:,} features need: FID is biased upwards and only comparable at "
            "the same counts; read KID."
        )
    if least < LEAST_SAMPLES:
        return (
            f"{counts} are fewer than {LEAST_SAMPLES:,}: FID is biased upwards and only comparable at the same "
            "counts; read KID."
        )
    return ""
