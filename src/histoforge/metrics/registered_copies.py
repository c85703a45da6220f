"""Copies of training patches that survive flips, rotations, small shifts, recompression and changes of colour.

A synthetic patch is laid over a training patch in its eight flips and rotations and at shifts of a few pixels, and the
normalised cross-correlation of their fine structure is computed (Lewis 1995, "Fast Normalized Cross-Correlation").
Brightness and contrast cancel in it, and a high-pass filter removes what patches of one stain have in common. Each
patch is verified against a few candidates, which a coarse correlation over all training patches picks.

Patches of one tissue resemble each other, and how much depends on the tissue. The threshold is therefore the tail of
training patches compared with the other training patches, which are of the same patients; tiles that overlap on their
slide are not compared. Sets of real patches may contain duplicates too, such as a field that was photographed twice, so
the decision is whether there are more pairs of a synthetic and a training patch than pairs of training patches
(`judge`).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from histoforge.core.seeds import numpy_rng
from histoforge.core.timings import spent
from histoforge.metrics.coarse_search import nearest_coarse
from histoforge.metrics.results import Result
from histoforge.metrics.structure import Structure, symmetries
from histoforge.patches import PatchSet
from histoforge.patches.blocks import Images, rows_of
from histoforge.patches.overlaps import overlapping

SHIFT = 4
"""Maximum shift after `Structure` shrank the patches, in pixels."""
QUERY_ROWS, PAIR_ROWS = 256, 1024
MAX_COMPARED = 2000
MAX_REFERENCES = 500
"""Number of training patches whose best matches set the threshold, by their median and 90% quantile."""
BOUNDS = (0.6, 0.85)
"""Lowest and highest threshold on the correlation."""
MEDIAN_GUMBEL, UPPER_GUMBEL = (float(stats.gumbel_r.ppf(share)) for share in (0.5, 0.9))
ALPHA = 0.02
"""Maximum probability that an innocent set is reported."""


class RegisteredPair(Result):
    """A synthetic patch and the training patch that it shows.

    Attributes:
        synthetic, training: rows in the given sets.
        correlation: of their fine structure, in [-1, 1].
        view: the flip or rotation of the synthetic patch that matches, a row of `structure.symmetries`; None in audits
            of earlier versions.
    """

    synthetic: int
    training: int
    correlation: float
    view: int | None = None


class RegisteredCopies(Result):
    """Synthetic patches that show a training patch, in any flip or rotation and with a small shift.

    Attributes:
        n_compared: number of synthetic patches compared; of large sets, some were drawn at random.
        n_without_detail: number of those that were left out because they show too little detail.
        n_reference: number of training patches compared with the other training patches.
        threshold: correlation above which a patch is flagged.
        flagged: the flagged patches, highest correlation first.
        reference_flagged: number of training patches that exceed the threshold.
        p: one-sided p-value of pairs of a synthetic and a training patch being no more frequent than pairs of training
            patches.
        copied: whether the test rejects this at `ALPHA`.
        reference_pairs: number of different pairs that the flagged training patches make; None in audits of earlier
            versions, which used Fisher's exact test.
    """

    n_compared: int
    n_without_detail: int
    n_reference: int
    threshold: float
    flagged: list[RegisteredPair]
    reference_flagged: int
    p: float
    copied: bool
    reference_pairs: int | None = None

    @property
    def n_with_detail(self) -> int:
        """Number of synthetic patches that were compared and show enough detail."""
        return self.n_compared - self.n_without_detail


@dataclass(frozen=True)
class Matches:
    """The most similar patch of each query.

    Attributes:
        similarity: highest correlation, float [Q].
        rows: row of that patch in the gallery, int64 [Q].
        views: the flip or rotation of the query, a row of `structure.symmetries`, int64 [Q].
    """

    similarity: Tensor
    rows: Tensor
    views: Tensor


@dataclass(frozen=True)
class Gallery:
    """Training patches to search.

    Attributes:
        structure: of the patches with enough detail.
        rows: their rows among all training patches, int64 [G].
        references: the patches that were compared with the others, int64 [R], rows of `structure`.
        reference: their matches.
    """

    structure: Structure
    rows: Tensor
    references: Tensor
    reference: Matches

    @classmethod
    def of(cls, training: Images, seed: int = 0) -> "Gallery":
        """Take training patches, and compare some of them, drawn with the seed, with the others.

        Tiles that overlap on their slide share pixels, and are not compared.
        """
        structure = Structure.of(training)
        rows = structure.has_detail.nonzero()[:, 0]
        structure = structure.rows(rows)
        references = torch.from_numpy(_sample(len(rows), MAX_REFERENCES, seed, "reference"))
        excluded = torch.stack([torch.arange(len(references)), references], 1)
        if isinstance(structure.patches, PatchSet):
            excluded = torch.cat([excluded, torch.from_numpy(overlapping(structure.patches, references.numpy()))])
        matches = best_matches(structure.rows(references), structure, excluded)
        return cls(structure, rows, references, matches)

    def flagged(self, threshold: float) -> tuple[int, int]:
        """Return how many reference patches exceed a threshold, and how many different pairs they make."""
        above = self.reference.similarity > threshold
        pairs = torch.stack([self.references[above], self.reference.rows[above]], 1).sort(1).values
        return int(above.sum()), len(torch.unique(pairs, dim=0))

    @property
    def reference_comparisons(self) -> float:
        """Number of different pairs among which the reference pairs were searched."""
        compared, size = len(self.references), len(self.rows)
        return compared * (size - 1) - compared * (compared - 1) / 2


@spent("compute")
def find_registered_copies(
    synthetic: Images, gallery: Gallery, seed: int = 0, max_compared: int = MAX_COMPARED
) -> RegisteredCopies:
    """Search synthetic patches for copies of training patches.

    Args:
        synthetic: patches of the size of the training patches, a patch set or uint8 [N, H, W, 3], N at least 1.
        gallery: the training patches.
        seed: seed of the subsample of large sets.
        max_compared: maximum number of synthetic patches that are compared.
    """
    compared = _sample(len(synthetic), max_compared, seed, "synthetic")
    drawn = Structure.of(rows_of(synthetic, compared))
    rows = drawn.has_detail.nonzero()[:, 0]
    matches = best_matches(drawn.rows(rows), gallery.structure)
    threshold, p = judge(matches.similarity, gallery)
    flagged = [
        RegisteredPair(
            synthetic=int(compared[rows[number]]),
            training=int(gallery.rows[matches.rows[number]]),
            correlation=float(matches.similarity[number]),
            view=int(matches.views[number]),
        )
        for number in matches.similarity.argsort(descending=True, stable=True).tolist()
        if matches.similarity[number] > threshold
    ]
    reference_flagged, reference_pairs = gallery.flagged(threshold)
    return RegisteredCopies(
        n_compared=len(compared),
        n_without_detail=len(compared) - len(rows),
        n_reference=len(gallery.references),
        threshold=threshold,
        flagged=flagged,
        reference_flagged=reference_flagged,
        p=p,
        copied=bool(flagged) and p < ALPHA,
        reference_pairs=reference_pairs,
    )


def judge(similarity: Tensor, gallery: Gallery, bounds: tuple[float, float] = BOUNDS) -> tuple[float, float]:
    """Return the threshold, and the probability of so many pairs above it if nothing was copied.

    Pairs that show the same tissue then lie anywhere among all comparisons alike, so of all such pairs, the number of
    those with a synthetic patch is binomial. Pairs are counted, and not patches, because both patches of a training
    pair are flagged. The test is made at the threshold and at the highest one, which real patches reach only where they
    show the same tissue, and Bonferroni's method corrects for two tests.

    Args:
        similarity: highest correlation of each synthetic patch with a training patch, float [S].
        gallery: the training patches.
        bounds: lowest and highest threshold.
    """
    threshold = _threshold(gallery.reference.similarity.double().numpy(), len(similarity), bounds)
    comparisons = len(similarity) * len(gallery.rows)
    share = comparisons / max(1.0, comparisons + gallery.reference_comparisons)
    values = []
    for level in (threshold, bounds[1]):
        pairs = int((similarity > level).sum())
        values.append(float(stats.binom.sf(pairs - 1, pairs + gallery.flagged(level)[1], share)))
    return threshold, min(1.0, 2 * min(values))


def best_matches(queries: Structure, gallery: Structure, excluded: Tensor | None = None) -> Matches:
    """Return the patch of the gallery with which each query has the highest correlation.

    Args:
        queries, gallery: patches of one size.
        excluded: pairs (query, row of the gallery) that do not count, int64 [P, 2]; if given, each query's own row in
            the gallery is in one of them.
    """
    if not len(queries) or len(gallery) < (1 if excluded is None else 2):
        nowhere = torch.zeros(len(queries), dtype=torch.int64)
        return Matches(torch.zeros(len(queries)), nowhere, nowhere)
    similarities, matches, best_views = [], [], []
    pairs = torch.empty(0, 2, dtype=torch.int64) if excluded is None else excluded
    for rows in torch.arange(len(queries)).split(QUERY_ROWS):
        first, last = rows[[0, -1]]
        of_batch = pairs[(pairs[:, 0] >= first) & (pairs[:, 0] <= last)] - torch.stack([first, 0 * first])
        candidates, views, allowed = nearest_coarse(queries.coarse[rows], gallery.coarse, of_batch)
        turned = symmetries(queries.rows(rows).fine())  # [V, n, h, w]
        needed, place = candidates.unique(return_inverse=True)
        fine = gallery.rows(needed).fine()
        query = torch.arange(len(rows))[:, None].expand_as(candidates)
        triples = torch.stack([views, query, place]).flatten(1)
        values = [
            correlation(turned[view, row].float(), fine[match].float())
            for view, row, match in triples.split(PAIR_ROWS, dim=1)
        ]
        best = torch.cat(values).view_as(candidates).where(allowed, torch.zeros(())).max(1)
        similarities.append(best.values)
        matches.append(candidates.gather(1, best.indices[:, None])[:, 0])
        best_views.append(views.gather(1, best.indices[:, None])[:, 0])
    return Matches(torch.cat(similarities), torch.cat(matches), torch.cat(best_views))


def correlation(templates: Tensor, images: Tensor) -> Tensor:
    """Return the maximum normalised cross-correlation of pairs over small shifts (Lewis 1995), float [P].

    Args:
        templates, images: float [P, h, w]; the templates lose a margin of `SHIFT` pixels, or less if they are small.
    """
    height, width = images.shape[1:]
    shift = _shift(height, width)
    inner = (height - 2 * shift, width - 2 * shift)
    template = templates[:, shift:-shift, shift:-shift]
    template = template - template.mean((1, 2), keepdim=True)
    spectra = torch.fft.rfft2(images) * torch.fft.rfft2(template, s=(height, width)).conj()
    sums = torch.fft.irfft2(spectra, s=(height, width))[:, : 2 * shift + 1, : 2 * shift + 1]
    pixels = inner[0] * inner[1]
    variance = _window_sums(images.square(), inner) / pixels - (_window_sums(images, inner) / pixels).square()
    image_norm = (variance.clamp(min=1e-6) * pixels).sqrt()
    template_norm = template.square().sum((1, 2)).clamp(min=1e-6).sqrt()
    return (sums / image_norm / template_norm[:, None, None]).flatten(1).amax(1)


def _window_sums(images: Tensor, window: tuple[int, int]) -> Tensor:
    """Return the sums of images [P, h, w] over all windows of that size, float [P, h', w'], from an integral image."""
    height, width = window
    sums = F.pad(images.double().cumsum(1).cumsum(2), (1, 0, 1, 0))
    columns = sums[:, :, width:] - sums[:, :, :-width]
    return (columns[:, height:] - columns[:, :-height]).float()


def _sample(count: int, maximum: int, seed: int, name: str) -> NDArray[np.int64]:
    if count <= maximum:
        return np.arange(count)
    return np.sort(numpy_rng(seed, "registered copies", name).choice(count, maximum, replace=False))


def _shift(height: int, width: int) -> int:
    return max(1, min(SHIFT, min(height, width) // 8))


def _threshold(reference: NDArray[np.float64], queries: int, bounds: tuple[float, float]) -> float:
    """Return the correlation that none of the queries exceeds with probability 1 - `ALPHA`.

    The correlations of the best matches, after Fisher's transformation, are maxima: a Gumbel distribution through their
    median and 90% quantile withstands duplicates among the training patches.
    """
    if not len(reference):
        return bounds[1]
    median, upper = np.quantile(np.arctanh(reference.clip(0, 0.9999)), [0.5, 0.9])
    scale = (upper - median) / (UPPER_GUMBEL - MEDIAN_GUMBEL)
    location = median - scale * MEDIAN_GUMBEL
    tail = location + scale * stats.gumbel_r.isf(ALPHA / max(1, queries))
    return float(np.clip(np.tanh(tail), *bounds))
