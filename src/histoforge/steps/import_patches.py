"""Turn synthetic images of any origin into a synthetic patch set that fits the real one."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.progress import Progress, say
from histoforge.core.seeds import numpy_rng
from histoforge.core.text import counted
from histoforge.ingest.fitting import plan_fitting
from histoforge.ingest.synthetic import class_labels, open_synthetic
from histoforge.patches import PatchSetWriter
from histoforge.patches.description import read_info
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
        origin = source.origin.with_settings(config, str(location))
        labels = class_labels(source.labels, real.classes, origin.classes, config.ignored, str(location))
        rows = _chosen(labels, config.max_patches_per_class, config.seed)
        fitting, warnings = plan_fitting(config.fit, origin.mpp, real, str(location))
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
                    "origin": origin.stated,
                    "scale": fitting.scale,
                    "patches": real.digest,
                    **codecs,
                }
            )
    summary = ImportPatchesSummary(
        **origin.stated,
        kind=source.kind,
        source=str(location),
        counts={name: int(count) for name, count in zip(real.classes, np.bincount(labels[rows]), strict=True)},
        left_out=_left_out(labels, rows),
        scale=fitting.scale,
        warnings=[*warnings, *origin.warnings],
        digest=info.digest,
        seconds=round(time.monotonic() - began, 2),
        **codecs,
    )
    for warning in summary.warnings:
        say(f"import_patches: warning: {warning}")
    return summary


def _chosen(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Return the rows to import in their order: at most `most` of each class, drawn by seed; all if that is 0."""
    chosen = np.zeros(len(labels), bool)
    for label in range(int(labels.max()) + 1):
        rows = np.flatnonzero(labels == label)
        if most and len(rows) > most:
            rows = numpy_rng(seed, "import", label).choice(rows, most, replace=False)
        chosen[rows] = True
    return np.flatnonzero(chosen)


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
