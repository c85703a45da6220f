"""Turn synthetic images of any origin into a synthetic patch set that fits the real one."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.core.progress import Progress, say
from histoforge.core.seeds import numpy_rng
from histoforge.core.text import counted
from histoforge.ingest.fitting import Fitting
from histoforge.ingest.synthetic import Origin, class_labels, open_synthetic, short_name
from histoforge.patches import PatchSetWriter
from histoforge.patches.patchset import PatchSetInfo, read_info
from histoforge.steps.import_patches_config import ImportPatchesConfig, ImportPatchesSummary
from histoforge.storage import digest_of_source, open_location


def run(config: ImportPatchesConfig, *, patches: Path, synthetic: Path) -> ImportPatchesSummary:
    """Read the images, fit them to the real patches, and write the patch set.

    Args:
        config: the settings.
        patches: patch set of real patches, which gives the classes, the patch size and the resolution; its pixels are
            not read.
        synthetic: patch set to write. Each patch has the columns `method` (the set's name), `file`, `codec` and
            `quality` (estimated JPEG quality).

    Raises:
        SourceError: an image, a class or the resolution does not fit; nothing is written.
    """
    began = time.monotonic()
    real = read_info(patches)
    location = open_location(config.source)
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        source = open_synthetic(location, config.labels, Path(temporary))
        origin = _stated(source.origin, config, str(location))
        mapping = source.origin.classes | config.mapping
        labels = class_labels(source.labels, real.classes, mapping, config.ignored, str(location))
        rows = _chosen(labels, config.max_patches_per_class, config.seed)
        fitting, warnings = _fitting(config, origin.mpp, real, str(location))
        say(f"import_patches: {location} has {counted(len(rows), 'images')} to import as '{origin.name}'")
        with (
            PatchSetWriter.create(synthetic, real.classes, real.patch_size, real.mpp, synthetic=True) as writer,
            Progress("import_patches", len(rows), "images") as progress,
        ):
            mpp = {} if real.mpp is None else {"mpp": real.mpp}
            done = 0
            for batch in source.read(rows, fitting, config.workers):
                chosen = labels[rows[done : done + len(batch.pixels)]]
                writer.add(batch.pixels, label=chosen, method=origin.name, **mpp, **batch.columns)
                done += len(batch.pixels)
                progress.advance(len(batch.pixels))
            index = writer.index()
            codecs = _codecs(index)
            info = writer.finish(
                {
                    "step": "import_patches",
                    "config": config.model_dump(mode="json", exclude={"workers"}),
                    "source_digest": digest_of_source(location),
                    "origin": origin.model_dump(mode="json", include={"name", "origin", "licence"}),
                    "scale": fitting.scale,
                    "patches": real.digest,
                    **codecs,
                }
            )
    summary = ImportPatchesSummary(
        name=origin.name,
        kind=source.kind,
        source=str(location),
        origin=origin.origin,
        licence=origin.licence,
        counts={name: int(count) for name, count in zip(real.classes, np.bincount(labels[rows]), strict=True)},
        left_out=_left_out(labels, rows),
        scale=fitting.scale,
        warnings=[*warnings, *_origin_warnings(origin)],
        digest=info.digest,
        seconds=round(time.monotonic() - began, 2),
        **codecs,
    )
    for warning in summary.warnings:
        say(f"import_patches: warning: {warning}")
    return summary


def _stated(stated: Origin, config: ImportPatchesConfig, location: str) -> Origin:
    """Return what is known about the origin: the settings first, then what the source states."""
    given = {"name": config.name, "origin": config.origin, "licence": config.licence, "mpp": config.source_mpp}
    origin = stated.model_copy(update={name: value for name, value in given.items() if value})
    return origin.model_copy(update={"name": short_name(origin.name or location)})


def _chosen(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Return the rows to import in their order: at most `most` of each class, drawn by seed; all if that is 0."""
    chosen = np.zeros(len(labels), bool)
    for label in range(int(labels.max()) + 1):
        rows = np.flatnonzero(labels == label)
        if most and len(rows) > most:
            rows = numpy_rng(seed, "import", label).choice(rows, most, replace=False)
        chosen[rows] = True
    return np.flatnonzero(chosen)


def _fitting(config: ImportPatchesConfig, mpp: float, real: PatchSetInfo, source: str) -> tuple[Fitting, list[str]]:
    """Return how images become patches, and warnings about it.

    Raises:
        SourceError: the resolution of the images is needed and not stated.
    """
    if config.fit == "shrink":
        return Fitting(real.patch_size, fit="shrink"), [
            "The images were resized to patches whatever their resolution: tissue may appear larger or smaller than in "
            "the real patches."
        ]
    if real.mpp is None:
        unknown = "The resolution of the real patches is unknown, so the images were not resized to it."
        return Fitting(real.patch_size), [unknown] if mpp else []
    if not mpp:
        raise SourceError(
            f"The resolution of the images of {source} is unknown, and the real patches have {real.mpp:.3g} um/px: set "
            "source_mpp (or 'mpp' in origin.yaml), or fit=shrink to resize each image to a patch whatever its "
            "resolution."
        )
    scale = mpp / real.mpp
    coarse = f"The images have {mpp:.3g} um/px and were enlarged to the {real.mpp:.3g} um/px of the real patches."
    return Fitting(real.patch_size, scale), [coarse] if scale > 1.02 else []


def _codecs(index: pd.DataFrame) -> dict[str, Any]:
    """Return the number of patches of each codec, and the median JPEG quality."""
    quality = index["quality"].median()
    return {
        "codecs": {str(name): int(count) for name, count in index["codec"].value_counts().sort_index().items()},
        "jpeg_quality": None if np.isnan(quality) else float(quality),
    }


def _left_out(labels: NDArray[np.int64], rows: NDArray[np.int64]) -> dict[str, int]:
    ignored = int((labels < 0).sum())
    counts = {
        "images of ignored classes": ignored,
        "images beyond max_patches_per_class": len(labels) - ignored - len(rows),
    }
    return {reason: count for reason, count in counts.items() if count}


def _origin_warnings(origin: Origin) -> Sequence[str]:
    missing = [name for name in ("origin", "licence") if not getattr(origin, name)]
    if not missing:
        return []
    return [f"The source states no {' and no '.join(missing)}: write them into origin.yaml beside the images."]
