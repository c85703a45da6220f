"""The latents of a patch set and its overviews, encoded once for all trainings and verified when opened.

A directory: `latents.npy` (float16, [N, flips, C, h, w], read through a memory map), `index.parquet` (a row per image:
label, class_name, patient, slide, split, level: 0 for patches and 1 for overviews), and `latents.json`.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray

from histoforge import __version__
from histoforge.autoencoder.network import Autoencoder
from histoforge.core.digests import digest_file
from histoforge.core.documents import read_model
from histoforge.core.errors import PatchSetError
from histoforge.core.files import atomic_directory
from histoforge.core.progress import Progress
from histoforge.core.seals import read_sealed, write_sealed
from histoforge.core.settings import Settings
from histoforge.core.timings import spent
from histoforge.patches.device import to_unit
from histoforge.patches.patchset import PatchSet
from histoforge.training.device import autocast
from histoforge.training.model_files import ModelInfo

SCHEMA_VERSION = 1
INFO_NAME, LATENTS_NAME, INDEX_NAME = "latents.json", "latents.npy", "index.parquet"
FLIPS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))
"""The flipped axes of [B, 3, H, W]: none, horizontally, vertically, and both."""
COLUMNS = ["label", "class_name", "patient", "slide", "split", "level"]
SPLITS = ("train", "val")
BATCH = 32
ADVICE = "run train_autoencoder again"


class LatentsInfo(Settings):
    """Content of `latents.json`.

    Attributes:
        classes: class names; a label is an index into this list.
        patch_size: height and width of the encoded images, px.
        factor: pixels per side of one latent.
        fold: the fold whose training and validation images were encoded; -1 for a single split.
        digests: identities of the patch set ('patches'), the overviews if there were any, and the autoencoder.
        image_size: height and width of the tissue of an overview at the patches' resolution, px; None without overviews
            that record it.
        files: SHA-256 of each file beside `latents.json`.
        code_version: the version of histoforge that wrote the latents.
        schema_version: schema version of the file.
        digest: SHA-256 over all of the above; the identity of the latents.
    """

    classes: list[str]
    patch_size: tuple[int, int]
    factor: int
    fold: int
    digests: dict[str, str]
    image_size: tuple[int, int] | None = None
    files: dict[str, str]
    code_version: str
    schema_version: int
    digest: str


class LatentSet:
    """Latents on disk.

    Attributes:
        info: content of `latents.json`.
        index: a row per image: label, class_name, patient, slide, split, level.
        latents: float16 [N, flips, C, h, w], through a memory map.
    """

    def __init__(self, info: LatentsInfo, index: pd.DataFrame, latents: NDArray[np.float16]) -> None:
        self.info, self.index, self.latents = info, index, latents

    @classmethod
    def open(cls, path: Path) -> "LatentSet":
        """Open latents, and verify their schema, sizes and digests.

        Raises:
            PatchSetError: they are missing or damaged; the message names the file.
        """
        path = Path(path)
        if not (path / INFO_NAME).is_file():
            raise PatchSetError(
                f"{path} has no {INFO_NAME}, so it contains no latents: pass those of train_autoencoder."
            )
        read_sealed(path / INFO_NAME, SCHEMA_VERSION, ADVICE, PatchSetError)
        info = read_model(LatentsInfo, path / INFO_NAME, PatchSetError, ADVICE)
        for name, digest in info.files.items():
            if not (path / name).is_file() or digest_file(path / name) != digest:
                raise PatchSetError(
                    f"{path / name} is missing or damaged (its SHA-256 is not the recorded one): {ADVICE}."
                )
        try:
            index = pd.read_parquet(path / INDEX_NAME)[COLUMNS]
            latents = np.load(path / LATENTS_NAME, mmap_mode="r", allow_pickle=False)
            if latents.ndim != 5 or latents.dtype != np.float16 or len(latents) != len(index):
                raise ValueError(f"{len(index)} rows and latents {latents.dtype} {latents.shape}")
        except (pa.ArrowException, LookupError, OSError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise PatchSetError(f"The latents {path} do not match their description ({reason}): {ADVICE}.") from None
        return cls(info, index, latents)

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Label of each image, int64 [N]."""
        return self.index["label"].to_numpy(np.int64)

    @cached_property
    def levels(self) -> NDArray[np.int64]:
        """Level of each image, 0 for patches and 1 for overviews, int64 [N]."""
        return self.index["level"].to_numpy(np.int64)

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the rows of a split, int64 [n]."""
        return np.flatnonzero(self.index["split"].to_numpy() == split)

    def check_made_of(self, patches: PatchSet, autoencoder: ModelInfo) -> None:
        """Check that these are the latents of the patches, in their fold, by the autoencoder.

        Raises:
            PatchSetError: they are of other patches, of another fold, or by another autoencoder.
        """
        if self.info.digests["patches"] != patches.digest:
            raise PatchSetError(
                f"The latents were encoded from another patch set ({self.info.digests['patches'][:8]}, not "
                f"{patches.digest[:8]}): run train_autoencoder on this one."
            )
        if self.info.fold != patches.fold:
            raise PatchSetError(
                f"The latents are of fold {self.info.fold} of the patch set, and fold {patches.fold} is to be trained "
                "on: run train_autoencoder on that fold."
            )
        if self.info.digests["autoencoder"] != autoencoder.digest:
            raise PatchSetError(
                f"The latents were encoded by another autoencoder ({self.info.digests['autoencoder'][:8]}, not "
                f"{autoencoder.digest[:8]}): pass both outputs of one train_autoencoder."
            )


def encode_latents(
    path: Path,
    network: Autoencoder,
    autoencoder: ModelInfo,
    levels: Sequence[PatchSet],
    flips: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> LatentsInfo:
    """Encode the training and validation images of all levels, and write them atomically.

    Args:
        path: the directory.
        network: on `device`, in evaluation mode.
        autoencoder: its description.
        levels: the patch set and, if there are any, the overviews, of the same classes and size.
        flips: whether to encode the flips of each image, too.
        device, dtype: where and at which precision to compute.

    Raises:
        StorageError: the disk is full or `path` cannot be written; nothing is left behind.
    """
    views = [data.where(np.isin(data.index["split"].to_numpy(), SPLITS)) for data in levels]
    patches, index = levels[0], pd.concat([view.index.assign(level=n) for n, view in enumerate(views)])
    axes = FLIPS if flips else FLIPS[:1]
    side = [length // network.factor for length in patches.patch_size]
    header: dict[str, Any] = {
        "descr": "<f2",
        "fortran_order": False,
        "shape": (len(index), len(axes), network.architecture.latent_channels, *side),
    }
    with atomic_directory(path) as folder:
        index[COLUMNS].to_parquet(folder / INDEX_NAME, index=False)
        with open(folder / LATENTS_NAME, "wb") as file, Progress("encoding", len(index), "images") as progress:
            np.lib.format.write_array_header_1_0(file, header)
            for view in views:
                for start in range(0, len(view), BATCH):
                    batch = _encode(network, view.images(slice(start, start + BATCH)), axes, device, dtype)
                    file.write(batch.tobytes())
                    progress.advance(len(batch))
        names = ("patches", "overviews")
        info = {
            "classes": patches.classes,
            "patch_size": patches.patch_size,
            "factor": network.factor,
            "fold": patches.fold,
            "digests": {
                **{name: data.digest for name, data in zip(names, levels, strict=False)},
                "autoencoder": autoencoder.digest,
            },
            "image_size": _image_size(levels),
            "files": {name: digest_file(folder / name) for name in (LATENTS_NAME, INDEX_NAME)},
            "code_version": __version__,
        }
        return LatentsInfo.make(write_sealed(folder / INFO_NAME, info, SCHEMA_VERSION))


def _image_size(levels: Sequence[PatchSet]) -> tuple[int, int] | None:
    shrink = (levels[-1].info.made_by.get("config") or {}).get("overview_shrink")
    if len(levels) < 2 or not shrink:
        return None
    height, width = levels[-1].patch_size
    return height * shrink, width * shrink


@torch.inference_mode()
@spent("compute")
def _encode(
    network: Autoencoder,
    pixels: NDArray[np.uint8],
    flips: Sequence[tuple[int, ...]],
    device: torch.device,
    dtype: torch.dtype,
) -> NDArray[np.float16]:
    """Return the latents of images, uint8 [B, H, W, 3], and of their flips, [B, flips, C, h, w]."""
    images = to_unit(torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).to(device))
    with autocast(device, dtype):
        latents = [network.encode(images.flip(axes)) for axes in flips]
    return torch.stack(latents, 1).half().cpu().numpy()
