"""Patch sets as datasets of PyTorch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from histoforge.api.running import PRESET, Settings, run_step
from histoforge.cli.outputs import resolved_parent
from histoforge.core.claims import Output, claimed, command_digest, record, recorded
from histoforge.core.errors import PatchSetError
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import to_uint8, to_unit
from histoforge.phantom.slides import draw_slides


class Patches(Dataset[tuple[Any, int]]):
    """Labelled patches of a patch set, or of one of its splits.

    An item is an image and its label: float32 [3, H, W] in [-1, 1], the range of all networks of histoforge, or
    what `transform` makes of the uint8 image [3, H, W]. The pixels stay on the disk and are read through a memory map,
    so that a `DataLoader` with any number of workers can share them.

    Attributes:
        path: directory of the patch set. Functions that take `Patches` read the whole set there, whatever the split.
        classes: class names; a label is an index into this list.
        labels: int64 [N].
        patch_size: height and width, px.
        mpp: micrometres per pixel, or None if it is unknown or mixed.
        synthetic: whether a generator drew the patches.
        digest: SHA-256 of the whole set, its identity.
    """

    def __init__(self, path: Path, patches: PatchSet, transform: Callable[[Tensor], Any] | None) -> None:
        self._patches, self._transform = patches, transform
        self.path = path
        self.classes: list[str] = patches.classes
        self.labels: NDArray[np.int64] = patches.labels
        self.patch_size: tuple[int, int] = patches.patch_size
        self.mpp: float | None = patches.info.mpp
        self.synthetic: bool = patches.info.synthetic
        self.digest: str = patches.digest

    def __len__(self) -> int:
        return len(self._patches)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        image = torch.from_numpy(self._patches.images(np.array([range(len(self))[row]]))).permute(0, 3, 1, 2)
        return to_unit(image)[0] if self._transform is None else self._transform(image[0]), int(self.labels[row])

    @property
    def table(self) -> pd.DataFrame:
        """One row per patch: class, patient, slide, position, split, and of synthetic patches their scores."""
        return self._patches.index.copy()

    def images(self, rows: Sequence[int] | NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """Return the pixels of some rows, or of all, uint8 [n, H, W, 3]."""
        return self._patches.images(None if rows is None else np.asarray(rows, np.int64))


def open_patches(
    path: str | Path, split: str = "", *, fold: int = -1, transform: Callable[[Tensor], Any] | None = None
) -> Patches:
    """Open a patch set.

    Args:
        path: its directory.
        split: 'train', 'val', 'test' or 'control'; '' for all patches.
        fold: fold of a cross-validation, counted from 0; -1 for a set with a single split.
        transform: function of an image, uint8 [3, H, W]; None for float32 in [-1, 1].

    Raises:
        HistoforgeError: the set is missing or damaged, or has no such split or fold.
    """
    whole = PatchSet.open(Path(path), fold)
    return Patches(Path(path), whole.split(split) if split else whole, transform)


def cut_patches(
    source: str | Path,
    out: str | Path,
    *,
    settings: Settings | None = None,
    preset: str = PRESET,
    overwrite: bool = False,
) -> Patches:
    """Cut slides or images into a patch set that is split by patient: the step `preprocess`.

    Args:
        source: folder, or s3:// prefix, of slides or images.
        out: folder to write: `patches` and `overviews`.
        settings: parameters of the step, such as {'patch_size': '96', 'mpp': 0.5}.
        preset: name of a preset, or ''.
        overwrite: whether another result at `out` may be replaced.

    Raises:
        HistoforgeError: the source cannot be used, or `out` may not be written.
    """
    run_step(
        "preprocess", out, {}, given={"source": str(source)}, settings=settings, preset=preset, overwrite=overwrite
    )
    return open_patches(Path(out) / "patches")


def write_patches(
    images: NDArray[np.uint8] | Tensor,
    labels: Sequence[int] | NDArray[np.int64] | Tensor,
    out: str | Path,
    *,
    like: Patches,
    method: str,
    overwrite: bool = False,
) -> Patches:
    """Write images from any generator as a synthetic patch set, from which arms can be trained.

    Args:
        images: uint8 [N, H, W, 3], or float [N, 3, H, W] in [-1, 1].
        labels: the class of each, an index into `like.classes`, [N].
        out: directory to write.
        like: real patches, whose classes, patch size and resolution the set gets.
        method: name of the method that drew them.
        overwrite: whether another patch set at `out` may be replaced.

    Raises:
        HistoforgeError: the images have another size, a label is not one of the classes, or `out` may not be written.
    """
    pixels = to_uint8(images).cpu().numpy() if isinstance(images, Tensor) else images
    numbers = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels, np.int64)
    _check(pixels, numbers, like)
    folder = resolved_parent(Path(out))
    mpp = {} if like.mpp is None else {"mpp": like.mpp}
    with (
        claimed([Output(folder, "patches")], {str(like.path): like.path}, overwrite=overwrite),
        PatchSetWriter.create(folder, like.classes, like.patch_size, like.mpp, synthetic=True) as writer,
    ):
        writer.add(pixels, label=numbers, method=method, **mpp)
        writer.finish({"step": "write_patches", "origin": {"name": method, "origin": method, "licence": ""}})
    return open_patches(folder)


def _check(images: NDArray[np.uint8], labels: NDArray[np.int64], like: Patches) -> None:
    expected = (*like.patch_size, 3)
    if images.dtype != np.uint8 or images.shape[1:] != expected or not len(images):
        raise PatchSetError(
            f"write_patches: the images are {images.dtype} {images.shape}: give uint8 (N, {expected[0]}, "
            f"{expected[1]}, 3), or a float tensor (N, 3, H, W) in [-1, 1]."
        )
    if labels.shape != (len(images),) or labels.min() < 0 or labels.max() >= len(like.classes):
        raise PatchSetError(
            f"write_patches: give one label from 0 to {len(like.classes) - 1} for each of the {len(images)} images."
        )


def draw_phantom(out: str | Path, *, patients: int = 12, size_px: int = 1024, seed: int = 0) -> Path:
    """Draw slides of imagined tissue with annotated regions, for trials, and return their folder.

    Args:
        out: the folder.
        patients: number of patients, with one slide each.
        size_px: height and width of a slide, px of 0.5 um.
        seed: seed of everything that is drawn.

    Raises:
        HistoforgeError: the slides are too small, or the folder is not empty and was not drawn by histoforge.
    """
    folder = resolved_parent(Path(out))
    digest = command_digest({"patients": patients, "size_px": size_px, "seed": seed}, {})
    with claimed([Output(folder, "slides")], {}, same=recorded(folder, "phantom") == digest):
        record(folder, "phantom", digest)
        draw_slides(folder, patients=patients, size_px=size_px, seed=seed, corrupt=False)
    return folder


def as_path(given: "Patches | str | Path") -> Path:
    """Return the path of a patch set that is given itself or by its path."""
    return given.path if isinstance(given, Patches) else Path(given)
