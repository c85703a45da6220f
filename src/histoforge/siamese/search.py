"""The search behind `histoforge similar`: fit queries to the patches, embed them, and find the most similar patches."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.core.progress import track
from histoforge.ingest.pixels import resize
from histoforge.patches import PatchSet
from histoforge.patches.images import Pixels
from histoforge.siamese.gradcam import overlaid
from histoforge.siamese.guide import Guide
from histoforge.siamese.retrieval import (
    Embedder,
    Typicality,
    embed_images,
    embed_set,
    most_similar,
    typical_similarity,
    typicality,
)

MAX_NAMES = 5
REAL_ORIGIN = ("patient", "slide", "x", "y", "split")
SYNTHETIC_ORIGIN = ("method", "seed")


@dataclass(frozen=True)
class SearchOptions:
    """The options of a search.

    Attributes:
        k: number of patches to return for each query.
        split: the split to search in, or 'all'.
        gradcam: True to overlay what makes patches similar.
        query_mpp: resolution of the queries, um/px; 0 assumes that of the patches.
        cache: a folder for embeddings, or None.
    """

    k: int = 12
    split: str = "all"
    gradcam: bool = True
    query_mpp: float = 0.0
    cache: Path | None = None


@dataclass(frozen=True)
class Match:
    """A patch of the searched set.

    Attributes:
        image: uint8 [H, W, 3].
        overlay: the image under its Grad-CAM, or None.
        similarity: similarity to the query, in [0, 1].
        class_name: its class.
        patient: name of the patient; '' if unknown.
        origin: where the patch comes from, by column name, and its row in the set.
        same_pixels: whether the patch equals the query pixel by pixel.
    """

    image: Pixels
    overlay: Pixels | None
    similarity: float
    class_name: str
    patient: str
    origin: Mapping[str, str | int]
    same_pixels: bool


@dataclass(frozen=True)
class Query:
    """A query and its matches.

    Attributes:
        name: name of its file.
        image: the query as it was compared, uint8 [H, W, 3].
        overlay: the image under its Grad-CAM, or None.
        note: how the image was prepared; '' if it was used unchanged.
        median_similarity: the median similarity to all patches searched.
        matches: at least one, the most similar first.
        unlike_the_set: whether it is less similar to every patch than these are to each other.
    """

    name: str
    image: Pixels
    overlay: Pixels | None
    note: str
    median_similarity: float
    matches: Sequence[Match]
    unlike_the_set: bool

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, without images."""
        return {
            "query": self.name,
            "note": self.note,
            "median_similarity": self.median_similarity,
            "unlike_the_set": self.unlike_the_set,
            "matches": [
                {
                    "similarity": match.similarity,
                    "class": match.class_name,
                    "same_pixels": match.same_pixels,
                    **match.origin,
                }
                for match in self.matches
            ],
        }


@dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes:
        queries: the queries with their matches.
        searched: number of patches that each query was compared with.
        typicality: similarity of these patches to each other.
        warnings: reasons to trust the result less, one sentence each.
    """

    queries: list[Query]
    searched: int
    typicality: Typicality
    warnings: list[str]


def search(
    guide: Embedder, patches: PatchSet, queries: Iterable[tuple[str, Pixels]], options: SearchOptions, name: str
) -> SearchResult:
    """Search a patch set for the patches that are most similar to each query.

    Args:
        guide: the network that embeds; only a guide shows what makes patches similar.
        patches: the patch set.
        queries: names and pixels of the images to search for, uint8 [H, W, 3] of any size.
        options: what to search and to return.
        name: name of the patch set in messages.

    Raises:
        SettingsError: k exceeds the number of patches, or the resolution of the patches is needed and unknown.
        PatchSetError: the split has no patches.
        ModelError: the guide does not fit the patches.
    """
    guide.check_patches(patches, f"the patch set {name}")
    scale = scale_of(options.query_mpp, patches)
    fitted = [(file, *fit_to_patch(image, patches.patch_size, scale)) for file, image in queries]
    rows = _searched_rows(options, patches, name)
    gallery = embed_set(guide, patches, options.cache)[rows]
    embeddings = embed_images(guide, np.stack([image for _, image, _ in fitted]), "queries")
    neighbours = most_similar(embeddings, gallery, options.k, device=guide.device)
    medians, reference = typical_similarity(embeddings, gallery), typicality(gallery, guide.device)
    results = []
    for index, (file, image, note) in enumerate(track(fitted, "page", len(fitted), "queries")):
        nearest = rows[neighbours.rows[index]]
        images = patches.images(nearest)
        overlays: Sequence[Pixels | None] = [None] * (options.k + 1)
        if options.gradcam and isinstance(guide, Guide):
            overlays = _overlays(guide, image, images, embeddings[index])
        matches = _matches(patches, nearest, neighbours.similarities[index], image, images, overlays[1:])
        results.append(
            Query(
                name=file,
                image=image,
                overlay=overlays[0],
                note=note,
                median_similarity=float(medians[index]),
                matches=matches,
                unlike_the_set=reference.is_unlike(matches[0].similarity),
            )
        )
    return SearchResult(results, len(rows), reference, _warnings(options.query_mpp, patches, results, reference))


def fit_to_patch(image: Pixels, size: tuple[int, int], scale: float = 1.0) -> tuple[Pixels, str]:
    """Fit an image, uint8 [H, W, 3], to a patch of a size (height, width) in px; return it and a note on the changes.

    The image is brought to the patches' scale, and then its centre is cut out; a smaller image is mirrored at its
    edges. It is never resized to fit, because its nuclei would then differ in size from those of the patches.

    Args:
        image: the query.
        size: size of a patch.
        scale: patch pixels per pixel of the image; 1 keeps its scale.
    """
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    changes = [f"resized to {height}x{width} px, the patches' resolution"] if scale != 1 else []
    image = resize(image, (height, width)) if scale != 1 else image
    scaled = image.shape[:2]
    top, left = (max(0, (length - side) // 2) for length, side in zip(scaled, size, strict=True))
    image = image[top : top + size[0], left : left + size[1]]
    if scaled[0] > size[0] or scaled[1] > size[1]:
        changes.append(f"cropped to its middle {image.shape[0]}x{image.shape[1]} px")
    missing = [side - length for side, length in zip(size, image.shape[:2], strict=True)]
    if any(missing):
        image = np.pad(image, [*((n // 2, n - n // 2) for n in missing), (0, 0)], mode="symmetric")
        changes.append(f"mirrored at its edges to {size[0]}x{size[1]} px")
    return image, f"The image was {' and '.join(changes)}." if changes else ""


def scale_of(query_mpp: float, patches: PatchSet) -> float:
    """Return the patch pixels per pixel of a query, from their resolutions; 1 if the query's resolution is not given.

    Raises:
        SettingsError: the resolution of the query is given and that of the patches is unknown.
    """
    if not query_mpp:
        return 1.0
    if not patches.info.mpp:
        raise SettingsError("--query-mpp is given, but the resolution of the patches is not known: leave it out.")
    return query_mpp / patches.info.mpp


def _searched_rows(options: SearchOptions, patches: PatchSet, name: str) -> NDArray[np.int64]:
    split, k = options.split, options.k
    rows = np.arange(len(patches)) if split == "all" else np.flatnonzero((patches.index["split"] == split).to_numpy())
    if not len(rows):
        raise PatchSetError(f"The patch set {name} has no patches in its '{split}' split: choose another one.")
    if not 1 <= k <= len(rows):
        raise SettingsError(f"-k is {k}, and there are {len(rows):,} patches to choose from: give 1 to {len(rows):,}.")
    return rows


def _overlays(guide: Guide, query: Pixels, images: Pixels, embedding: NDArray[np.float32]) -> Sequence[Pixels | None]:
    """Return the query and the images under the Grad-CAM of their similarity to the query."""
    reference = torch.from_numpy(embedding).expand(len(images) + 1, -1)
    return list(overlaid(guide, np.concatenate([query[None], images]), reference))


def _matches(
    patches: PatchSet,
    rows: NDArray[np.int64],
    similarities: NDArray[np.float32],
    query: Pixels,
    images: Pixels,
    overlays: Sequence[Pixels | None],
) -> list[Match]:
    columns = SYNTHETIC_ORIGIN if patches.info.synthetic else REAL_ORIGIN
    table = patches.index.iloc[rows]
    origins = table[[name for name in columns if name in table]].to_dict("records")
    return [
        Match(
            image=images[n],
            overlay=overlays[n],
            similarity=float(similarities[n]),
            class_name=str(table["class_name"].iloc[n]),
            patient=str(table["patient"].iloc[n]),
            origin={**{str(name): value for name, value in origins[n].items()}, "row": int(row)},
            same_pixels=bool(np.array_equal(images[n], query)),
        )
        for n, row in enumerate(rows)
    ]


def _warnings(query_mpp: float, patches: PatchSet, queries: Sequence[Query], reference: Typicality) -> list[str]:
    """Return warnings about an assumed scale, and about queries unlike all searched patches."""
    warnings = []
    if not query_mpp:
        mpp = f"have {patches.info.mpp:g} um/px" if patches.info.mpp else "have an unknown resolution"
        warnings.append(
            f"A pixel of a query is assumed to be as large as a pixel of a patch, and the patches {mpp}: give "
            "--query-mpp if the queries have another resolution."
        )
    unlike = [query.name for query in queries if query.unlike_the_set]
    if unlike:
        more = f" and {len(unlike) - MAX_NAMES} more" if len(unlike) > MAX_NAMES else ""
        warnings.append(
            f"Unlike anything in the set: {', '.join(unlike[:MAX_NAMES])}{more}. The most similar patch is less "
            f"similar than {reference.threshold:.4f}, which {reference.share:.0%} of the set's patches reach with "
            "their nearest other patch. The patches shown are the nearest there are, and may have another tissue, "
            "stain or scale."
        )
    return warnings
