"""Search for the patches that are most similar to a given one, by the guide's embeddings.

Mustafa 2024, "Qualitative Evaluation": a graphical interface extracts the K images of a distribution that the MFT-SNN
rates as most similar to a selected one. Similarity is the cosine of the embeddings. Those of a guide are non-negative
and of length 1 (A0-5), so it lies in [0, 1]; a negative cosine of an encoder's embeddings counts as 0. The search is
exact: every pair is compared.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.core.digests import digest_json
from histoforge.core.errors import SettingsError
from histoforge.core.progress import Progress, say
from histoforge.core.seeds import numpy_rng
from histoforge.metrics.embeddings import Embeddings, read_embeddings, write_embeddings
from histoforge.metrics.exact_copies import Flip
from histoforge.metrics.extract import NamedExtractor, extract_features
from histoforge.patches import PatchSet


class Embedder(Protocol):
    """A network in whose embeddings patches are searched: a guide or an encoder.

    Attributes:
        device, dtype: device and precision of its computations.
    """

    device: torch.device
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """Its name in results."""

    @property
    def digest(self) -> str:
        """Identity of the network and its weights."""

    def embed(self, images: Tensor) -> Tensor:
        """Compute embeddings of length 1, float32 [B, D], of images float [-1, 1] [B, 3, H, W]."""

    def check_patches(self, patches: PatchSet, where: str) -> None:
        """Check that it fits the patches, which messages call `where`."""


QUERY_BLOCK, GALLERY_BLOCK = 512, 8192
MAX_ROW = (1 << 32) - 1
TYPICAL_PATCHES = 2000


@dataclass(frozen=True)
class Neighbours:
    """The patches most similar to each query, most similar first; ties are ordered as in the set.

    Attributes:
        rows: indices in the gallery, int64 [Q, k].
        similarities: cosines in [0, 1], float32 [Q, k].
    """

    rows: NDArray[np.int64]
    similarities: NDArray[np.float32]


def embed_images(
    guide: Embedder, images: NDArray[np.uint8] | PatchSet, label: str = "embeddings", flip: Flip = ()
) -> Embeddings:
    """Compute embeddings of patches, float32 [N, D], in their order.

    Args:
        guide: the network that embeds, on its own device and at its own precision.
        images: a patch set, or uint8 [N, H, W, 3].
        label: text of the progress line.
        flip: the axes to flip first, one of `FLIPS`.
    """
    axes = [axis + 1 for axis in flip]  # of [N, 3, H, W]
    extractor = NamedExtractor(guide.name, lambda batch: guide.embed(batch.flip(axes)))
    return extract_features(extractor, images, guide.device, label=label)


def embed_set(
    guide: Embedder, patches: PatchSet, cache: Path | None = None, label: str = "embeddings", flip: Flip = ()
) -> Embeddings:
    """Compute embeddings of a whole patch set, float32 [N, D], only once if there is a cache.

    Args:
        guide: the network that embeds.
        patches: the set as it was opened, not a view of it: the cache identifies it by its digest.
        cache: a folder for embeddings, keyed by the digests of guide and set; None writes nothing. A cached file that
            is damaged or belongs to other patches is replaced.
        label: text of the progress line.
        flip: the axes to flip first, one of `FLIPS`.
    """
    if cache is None:
        return embed_images(guide, patches, label, flip)
    key = {
        "patches": patches.digest,
        "guide": guide.digest,
        "device": guide.device.type,
        "dtype": str(guide.dtype),
        "flip": list(flip),
    }
    file = cache / f"{digest_json(key)}.npy"
    embeddings = read_embeddings(file, len(patches))
    if embeddings is not None:
        say(f"{label}: {len(embeddings):,} read from {file}")
        return embeddings
    embeddings = embed_images(guide, patches, label, flip)
    write_embeddings(file, embeddings)
    return embeddings


def most_similar(
    queries: Embeddings,
    gallery: Embeddings,
    k: int,
    *,
    device: torch.device | str = "cpu",
    excluded: NDArray[np.int64] | None = None,
    label: str = "search",
) -> Neighbours:
    """Return the `k` rows of the gallery that are most similar to each query.

    Products are summed in float64 and rounded to float32, so that equal patches get equal similarities at any row.
    Similarity and row are then ranked as one integer, so that the order of ties is fixed.

    Args:
        queries: [Q, D], of length 1.
        gallery: [N, D], likewise.
        k: number of rows per query.
        device: where to compute.
        excluded: a gallery row per query that is left out, usually the query itself, int64 [Q].
        label: text of the progress line.

    Raises:
        SettingsError: the gallery has fewer than `k` rows.
    """
    available = len(gallery) - (excluded is not None)
    if not 1 <= k <= available:
        raise SettingsError(f"k is {k}, and there are {available:,} patches to choose from: give 1 to {available:,}.")
    points = torch.from_numpy(gallery).to(device)
    best: list[Tensor] = []
    with Progress(label, len(queries), "patches") as progress:
        for start in range(0, len(queries), QUERY_BLOCK):
            rows = slice(start, start + QUERY_BLOCK)
            block = torch.from_numpy(queries[rows]).to(device, torch.float64)
            left_out = None if excluded is None else torch.from_numpy(excluded[rows]).to(device)
            best.append(_largest_keys(block, points, k, left_out).cpu())
            progress.advance(len(block))
    keys = torch.cat(best)
    similarities = (keys >> 32).to(torch.int32).view(torch.float32)
    return Neighbours((MAX_ROW - (keys & MAX_ROW)).numpy(), similarities.numpy())


def typical_similarity(queries: Embeddings, gallery: Embeddings) -> NDArray[np.float32]:
    """Return the median similarity of each query to the whole gallery, float32 [Q].

    It is a reference for other similarities.
    """
    return np.array([np.median(gallery @ query) for query in queries], np.float32).clip(0, 1)


@dataclass(frozen=True)
class Typicality:
    """Typical similarity of a set's patches to their nearest other patch, as a reference for a query's nearest patch.

    Attributes:
        threshold: similarity that `share` of the set's patches reach with their nearest other patch.
        share: share of the patches.
    """

    threshold: float
    share: float = 0.99

    def is_unlike(self, similarity: float) -> bool:
        """Return whether a patch whose nearest patch has this similarity would stand out in the set."""
        return similarity < self.threshold


def typicality(gallery: Embeddings, device: torch.device | str = "cpu") -> Typicality:
    """Measure the similarity of patches to their nearest other patch, on a random sample of a large set.

    Args:
        gallery: [N, D], of length 1.
        device: where to compute.
    """
    count = min(len(gallery), TYPICAL_PATCHES)
    if count < 2:
        return Typicality(0.0)
    rows = np.sort(numpy_rng(0, "typicality").choice(len(gallery), count, replace=False))
    nearest = most_similar(gallery[rows], gallery, 1, device=device, excluded=rows, label="nearest patches of the set")
    return Typicality(float(np.quantile(nearest.similarities, 1 - Typicality.share)))


def _largest_keys(queries: Tensor, points: Tensor, k: int, excluded: Tensor | None) -> Tensor:
    """Return the `k` largest keys of each query over the whole gallery, int64 [b, k], in descending order."""
    largest = []
    for start in range(0, len(points), GALLERY_BLOCK):
        keys = _keys(queries @ points[start : start + GALLERY_BLOCK].to(torch.float64).T, start)
        if excluded is not None:
            in_block = (excluded >= start) & (excluded < start + keys.shape[1])
            keys[in_block, excluded[in_block] - start] = -1
        largest.append(keys.topk(min(k, keys.shape[1]), dim=1).values)
    return torch.cat(largest, dim=1).topk(k, dim=1).values


def _keys(cosines: Tensor, first_row: int) -> Tensor:
    """Return integers that sort pairs by similarity, then by row: the bits of a float32 >= 0 sort like its value."""
    similarities = cosines.clamp_(0, 1).to(torch.float32).abs_()
    rows = torch.arange(first_row, first_row + cosines.shape[1], device=cosines.device)
    return similarities.view(torch.int32).to(torch.int64) << 32 | (MAX_ROW - rows)
