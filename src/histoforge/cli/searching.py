"""Implement `histoforge similar`: read the queries, embed, search, write the page and its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.cli.claims import claim_page
from histoforge.core.errors import PatchSetError, SettingsError, SourceError
from histoforge.core.files import write_json
from histoforge.core.progress import say, track
from histoforge.ingest.images import EXTENSIONS
from histoforge.ingest.pixels import read_rgb, resize
from histoforge.patches import PatchSet
from histoforge.reports.layout.page import write_page
from histoforge.reports.similar_page import Match, Query, build_similar_page
from histoforge.siamese.gradcam import overlaid
from histoforge.siamese.guide import load_guide
from histoforge.siamese.retrieval import (
    Typicality,
    embed_images,
    embed_set,
    most_similar,
    typical_similarity,
    typicality,
)

MOST_QUERIES = 200
NAMED = 5
REAL_PLACE = ("patient", "slide", "x", "y", "split")
SYNTHETIC_PLACE = ("method", "seed")
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Search:
    """The arguments of a search.

    Attributes:
        query: an image, or a folder of images.
        patches: the patch set to search in.
        model: the guide.
        out: the page.
        k: number of patches to show.
        split: the split to search in, or 'all'.
        gradcam: True to show the regions that make patches similar.
        query_mpp: resolution of the queries, um/px; 0 treats a pixel of a query as a pixel of a patch.
        cache: a folder for embeddings, or None.
        device: device to compute on.
        overwrite: True if an earlier page may be replaced.
    """

    query: Path
    patches: Path
    model: Path
    out: Path
    k: int
    split: str
    gradcam: bool
    cache: Path | None
    device: str
    overwrite: bool = False
    query_mpp: float = 0.0


def show_similar(asked: Search) -> None:
    """Write the page of the patches most similar to each query, and its numbers as JSON beside it.

    Raises:
        SourceError: if the query is missing, is not an image, or is a folder of no or too many images.
        SettingsError: if k exceeds the number of patches, or `out` is not a page.
        PatchSetError, ModelError: if the set or the guide is missing, damaged or does not fit.
        StorageError: if the page may not be written.
    """
    numbers_file(asked.out)
    given = {"--query": asked.query, "--in": asked.patches, "--model": asked.model}
    settings = {"k": asked.k, "split": asked.split, "gradcam": asked.gradcam, "query_mpp": asked.query_mpp}
    with claim_page("similar", asked.out, settings, given, asked.overwrite) as command:
        _show_similar(asked, command)


def _show_similar(asked: Search, command: str) -> None:
    numbers = numbers_file(asked.out)
    files = query_files(asked.query)
    patches = PatchSet.open(asked.patches)
    guide = load_guide(asked.model, asked.device)
    guide.check_patches(patches, f"the patch set {asked.patches}")
    scale = scale_of(asked.query_mpp, patches)
    read = [fitted(read_rgb(file, str(file)), patches.patch_size, scale) for file in files]
    rows = _searched(asked, patches)
    gallery = embed_set(guide, patches, asked.cache)[rows]
    wanted = embed_images(guide, np.stack([image for image, _ in read]), "queries")
    found = most_similar(wanted, gallery, asked.k, device=guide.device)
    typical, own = typical_similarity(wanted, gallery), typicality(gallery, guide.device)
    queries = []
    for place, file in enumerate(track(files, "page", len(files), "queries")):
        image, note = read[place]
        nearest = rows[found.rows[place]]
        pixels = patches.images(nearest)
        overlays: Sequence[Pixels | None] = [None] * (asked.k + 1)
        if asked.gradcam:
            reference = torch.from_numpy(wanted[place]).expand(asked.k + 1, -1)
            overlays = list(overlaid(guide, np.concatenate([image[None], pixels]), reference))
        matches = _matches(patches, nearest, found.similarities[place], image, pixels, overlays[1:])
        queries.append(Query(file.name, image, overlays[0], note, float(typical[place]), matches))
    page = build_similar_page(
        queries,
        searched=len(rows),
        where=f"patches of {asked.patches} ({asked.split})",
        guide=guide.name,
        warnings=_warnings(asked, patches, queries, own),
        numbers=numbers.name,
    )
    facts = {"guide": guide.info.digest, "patches": patches.digest, "split": asked.split, "searched": len(rows)}
    facts.update(query_mpp=asked.query_mpp or None, unlike_below=own.threshold, command=command)
    write_json(numbers, {**facts, "queries": [_as_numbers(query, own) for query in queries]})
    write_page(asked.out, page)
    say(f"written to {asked.out} and {numbers}")
    print(page.headline)


def query_files(path: Path) -> list[Path]:
    """Return the image at `path`, or the images in that folder sorted by name.

    Raises:
        SourceError: if there is none, or there are too many for a page.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SourceError(f"There is no {path} to look for: give --query an image, or a folder of images.")
    files = sorted(file for file in path.iterdir() if file.is_file() and file.name.lower().endswith(EXTENSIONS))
    if not 1 <= len(files) <= MOST_QUERIES:
        raise SourceError(
            f"The folder {path} has {len(files):,} images to look for: give --query one with 1 to {MOST_QUERIES} "
            f"({', '.join(EXTENSIONS)})."
        )
    return files


def fitted(image: Pixels, size: tuple[int, int], scale: float = 1.0) -> tuple[Pixels, str]:
    """Fit an image, uint8 [H, W, 3], to a patch of a size (height, width) in px; return it and a note on the changes.

    The image is brought to the patches' scale, and then its centre is cut out; a smaller image is mirrored at its
    edges. It is never resized to fit, because its nuclei would then differ in size from those of the patches.

    Args:
        image: the query.
        size: size of a patch.
        scale: patch pixels per pixel of the image; 1 keeps its scale.
    """
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    done = [f"resized to {height}x{width} px, the patches' resolution"] if scale != 1 else []
    image = resize(image, (height, width)) if scale != 1 else image
    given = image.shape[:2]
    top, left = (max(0, (there - wanted) // 2) for there, wanted in zip(given, size, strict=True))
    image = image[top : top + size[0], left : left + size[1]]
    if given[0] > size[0] or given[1] > size[1]:
        done.append(f"cut to its middle {image.shape[0]}x{image.shape[1]} px")
    lacking = [(wanted - there) for wanted, there in zip(size, image.shape[:2], strict=True)]
    if any(lacking):
        image = np.pad(image, [*((n // 2, n - n // 2) for n in lacking), (0, 0)], mode="symmetric")
        done.append(f"mirrored at its edges to {size[0]}x{size[1]} px")
    return image, f"The image was {' and '.join(done)}." if done else ""


def scale_of(query_mpp: float, patches: PatchSet) -> float:
    """Return the patch pixels per pixel of a query, from their resolutions; 1 if the query's resolution is not given.

    Raises:
        SettingsError: if the resolution of the query is given and that of the patches is unknown.
    """
    if not query_mpp:
        return 1.0
    if not patches.info.mpp:
        raise SettingsError("--query-mpp is given, and the resolution of the patches is not known: leave it out.")
    return query_mpp / patches.info.mpp


def numbers_file(out: Path) -> Path:
    """Return the JSON file beside a page.

    Raises:
        SettingsError: if `out` does not end in .html.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise SettingsError(f"--out is {out}, which is no page: give it a name that ends in .html.")
    return out.with_suffix(".json")


def _searched(asked: Search, patches: PatchSet) -> NDArray[np.int64]:
    splits = patches.index["split"].to_numpy()
    rows = np.arange(len(patches)) if asked.split == "all" else np.flatnonzero(splits == asked.split)
    if not len(rows):
        raise PatchSetError(f"The patch set {asked.patches} has no patches in its '{asked.split}' split: name another.")
    if not 1 <= asked.k <= len(rows):
        raise SettingsError(
            f"-k is {asked.k}, and there are {len(rows):,} patches to choose from: ask for 1 to {len(rows):,}."
        )
    return rows


def _matches(
    patches: PatchSet,
    rows: NDArray[np.int64],
    similarities: NDArray[np.float32],
    query: Pixels,
    pixels: Pixels,
    overlays: Sequence[Pixels | None],
) -> list[Match]:
    columns = SYNTHETIC_PLACE if patches.info.synthetic else REAL_PLACE
    index = patches.index.iloc[rows]
    places = index[[name for name in columns if name in index]].to_dict("records")
    return [
        Match(
            image=pixels[n],
            overlay=overlays[n],
            similarity=float(similarities[n]),
            class_name=str(index["class_name"].iloc[n]),
            patient=str(index["patient"].iloc[n]),
            place={**{str(name): value for name, value in places[n].items()}, "row": int(row)},
            same_pixels=bool(np.array_equal(pixels[n], query)),
        )
        for n, row in enumerate(rows)
    ]


def _warnings(asked: Search, patches: PatchSet, queries: Sequence[Query], own: Typicality) -> list[str]:
    """Return warnings for the top of the page: an assumed scale, and queries unlike all searched patches."""
    found = []
    if not asked.query_mpp:
        mpp = f"{patches.info.mpp:g} um/px" if patches.info.mpp else "of unknown resolution"
        found.append(
            f"A pixel of a query is taken for a pixel of a patch, and the patches are {mpp}: give --query-mpp if the "
            "queries have another resolution."
        )
    unlike = [query.name for query in queries if own.is_unlike(query.matches[0].similarity)]
    if unlike:
        names = ", ".join(unlike[:NAMED]) + (f" and {len(unlike) - NAMED} more" if len(unlike) > NAMED else "")
        found.append(
            f"Unlike anything in the set: {names}. The most similar patch reaches less than {own.threshold:.4f}, which "
            f"{own.share:.0%} of the set's own patches reach with their nearest other patch: the patches shown are the "
            "nearest there are, and may be of another tissue, stain or scale."
        )
    return found


def _as_numbers(query: Query, own: Typicality) -> dict[str, Any]:
    matches = [
        {
            "similarity": match.similarity,
            "class": match.class_name,
            "same_pixels": match.same_pixels,
            **match.place,
        }
        for match in query.matches
    ]
    unlike = own.is_unlike(query.matches[0].similarity)
    return {
        "query": query.name,
        "note": query.note,
        "median_similarity": query.typical,
        "unlike_the_set": unlike,
        "matches": matches,
    }
