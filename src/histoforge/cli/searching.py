"""Implement `histoforge similar`: read the queries, search, and write the page and its numbers."""

from dataclasses import replace
from pathlib import Path

import torch

from histoforge.classifiers.encoders.encoder import load_encoder
from histoforge.cli.outputs import claim_page
from histoforge.core.errors import SettingsError, SourceError
from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.ingest.images import EXTENSIONS
from histoforge.ingest.pixels import read_rgb
from histoforge.metrics.embeddings import cache_folder
from histoforge.patches import PatchSet
from histoforge.reports.layout.page import write_page
from histoforge.reports.similar_page import build_similar_page
from histoforge.siamese.guide import load_guide
from histoforge.siamese.retrieval import Embedder
from histoforge.siamese.search import SearchOptions, search
from histoforge.training.device import resolve_device, resolve_precision

MAX_QUERIES = 200


def show_similar(
    query_path: Path,
    patches_path: Path,
    model: Path | None,
    encoder: str,
    out: Path,
    options: SearchOptions,
    *,
    device: str,
    overwrite: bool,
) -> None:
    """Write the page of the patches most similar to each query, and its numbers as JSON beside it.

    The arguments are the options of `histoforge similar`.

    Raises:
        SourceError: the query is missing, is not an image, or is a folder of no or too many images.
        SettingsError: k exceeds the number of patches, `out` is not a page, or not exactly one of `model` and `encoder`
            is given.
        PatchSetError, ModelError: the set or the guide is missing, damaged or does not fit.
        StorageError: the page cannot be written.
    """
    numbers = numbers_file(out)
    if (model is None) == (not encoder):
        raise SettingsError("similar needs a network to search with: give either --model or --encoder.")
    inputs = {"--query": query_path, "--in": patches_path} | ({"--model": model} if model is not None else {})
    settings = {
        "k": options.k,
        "split": options.split,
        "gradcam": options.gradcam,
        "query_mpp": options.query_mpp,
        "encoder": encoder,
    }
    with claim_page("similar", out, settings, inputs, overwrite) as command:
        files = query_files(query_path)
        patches = PatchSet.open(patches_path)
        kind = "guide" if model is not None else "encoder"
        network = _load(model, encoder, resolve_device(device))
        if model is None:
            options = replace(options, cache=options.cache or cache_folder())
        images = ((file.name, read_rgb(file, str(file))) for file in files)
        result = search(network, patches, images, options, str(patches_path))
        page = build_similar_page(
            result,
            where=f"patches of {patches_path} ({options.split})",
            network=f"{kind} {network.name}",
            data_file=numbers.name,
        )
        record = {
            kind: network.digest,
            "patches": patches.digest,
            "split": options.split,
            "searched": result.searched,
            "query_mpp": options.query_mpp or None,
            "unlike_below": result.typicality.threshold,
            "command": command,
            "queries": [query.to_json() for query in result.queries],
        }
        write_json(numbers, record)
        write_page(out, page)
        say(f"written to {out} and {numbers}")
        print(page.headline)


def _load(model: Path | None, encoder: str, device: torch.device) -> Embedder:
    """Load the guide `model`, or the encoder if that is None."""
    dtype = resolve_precision("auto", device)
    return load_encoder(encoder, device, dtype) if model is None else load_guide(model, device, dtype)


def query_files(path: Path) -> list[Path]:
    """Return the image at `path`, or the images in that folder sorted by name.

    Raises:
        SourceError: there is none, or there are too many for a page.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SourceError(f"There is no query {path}: give --query an image, or a folder of images.")
    files = sorted(file for file in path.iterdir() if file.is_file() and file.name.lower().endswith(EXTENSIONS))
    if not 1 <= len(files) <= MAX_QUERIES:
        raise SourceError(
            f"The folder {path} has {len(files):,} images to search for: give --query one with 1 to {MAX_QUERIES} "
            f"({', '.join(EXTENSIONS)})."
        )
    return files


def numbers_file(out: Path) -> Path:
    """Return the JSON file beside a page.

    Raises:
        SettingsError: `out` does not end in .html.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise SettingsError(f"--out is {out}, which is not a page: give it a name that ends in .html.")
    return out.with_suffix(".json")
