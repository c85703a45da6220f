"""Features of patch sets that are computed once per encoder and kept in a folder, by digest."""

import os
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.core.digests import digest_json
from histoforge.core.errors import StorageError
from histoforge.core.files import atomic_file
from histoforge.core.progress import say
from histoforge.metrics.extract import Extractor, extract_features
from histoforge.patches.patchset import PatchSet

Embeddings = NDArray[np.float32]


@runtime_checkable
class Encoder(Extractor, Protocol):
    """An extractor that is the same in every run, so that its features can be kept."""

    @property
    def digest(self) -> str:
        """Identity of the network, its weights and the preparation of its input."""


def cache_folder() -> Path:
    """Return the folder of kept embeddings: `$HISTOFORGE_CACHE`, or else histoforge's in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HISTOFORGE_CACHE") or Path(base) / "histoforge") / "embeddings"


def patch_features(
    extractor: Extractor,
    patches: PatchSet | NDArray[np.uint8],
    device: torch.device | str = "cpu",
    *,
    batch_size: int = 128,
    label: str = "features",
) -> Embeddings:
    """Return the features of patches, float32 [N, D]; those of an encoder for a patch set are computed only once.

    Args:
        extractor: an extractor; only an `Encoder` has features that can be kept.
        patches: a patch set or a view of one, or uint8 [N, H, W, 3], whose features are not kept.
        device: where to compute.
        batch_size: number of patches computed at once.
        label: text of the progress line.
    """

    def compute() -> Embeddings:
        return extract_features(extractor, patches, device, batch_size=batch_size, label=label)

    if not isinstance(extractor, Encoder) or not isinstance(patches, PatchSet):
        return compute()
    key = {
        "encoder": extractor.digest,
        "name": extractor.name,
        "patches": patches.rows_digest,
        "device": torch.device(device).type,
    }
    file = cache_folder() / f"{digest_json(key)}.npy"
    kept = read_embeddings(file, len(patches))
    if kept is not None:
        say(f"{label}: {len(kept):,} embeddings of {extractor.name} read from {file}")
        return kept
    embeddings = compute()
    try:
        write_embeddings(file, embeddings)
    except StorageError as error:
        say(f"The embeddings of {extractor.name} are not kept: {error}")
    return embeddings


def read_embeddings(file: Path, count: int) -> Embeddings | None:
    """Return kept embeddings, float32 [count, D]; None if there are none, or they are damaged or of other patches."""
    try:
        values = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype == np.float32 and len(values) == count
    return values if fits and bool(np.isfinite(values).all()) else None


def write_embeddings(file: Path, embeddings: Embeddings) -> None:
    """Write embeddings, [N, D].

    Raises:
        StorageError: the file cannot be written.
    """
    with atomic_file(file) as temporary, open(temporary, "wb") as stream:
        np.save(stream, embeddings, allow_pickle=False)
