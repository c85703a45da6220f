"""The step `preprocess`, which turns slides, image folders or PatchCamelyon files into a patch set split by patient."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.ingest.base import Reading, Source
from histoforge.ingest.choice import CONFLICTS_NAME, Choice, check_early, choose
from histoforge.ingest.collector import PatchCollector
from histoforge.ingest.config import SPLITS
from histoforge.ingest.opening import open_source
from histoforge.patches import PatchSetWriter
from histoforge.steps.preprocess_config import PreprocessConfig, PreprocessSummary
from histoforge.storage import digest_of_source, open_location

SUMMARY_NAME = "summary.json"
SAME_MPP = 0.05


def run(config: PreprocessConfig, *, patches: Path, overviews: Path) -> PreprocessSummary:
    """Read the source, and write the patch set and the overviews.

    `patches/summary.json` contains the summary with durations; `patchset.json` records it without them under `made_by`.
    `patches/conflicts.csv` lists the patches whose pixels occur in two classes or in two splits, if there are any.
    Pictures of slides and `pictures.json` are in `overviews/pictures`.

    Raises:
        HistoforgeError: if the source cannot be used; earlier outputs are left as they were.
    """
    began = time.monotonic()
    location = open_location(config.source)
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        reading = Reading(str(location), config.max_failed_slides, Path(temporary))
        digest = digest_of_source(location)
        source = open_source(config, location, location.source_entries(), reading)
        say(f"preprocess: {location} holds {source.kind}, with the classes {', '.join(source.classes)}")
        check_early(config, source)
        with (
            PatchSetWriter.create(patches, source.classes, config.size) as writer,
            PatchSetWriter.create(overviews, source.classes, config.overview_px) as overview_writer,
        ):
            sink = PatchCollector(config, source.classes, writer, overview_writer)
            source.read(sink)
            sink.close()
            read = time.monotonic()
            summary = finish(config, source, reading, sink, digest)
            written = time.monotonic()
            seconds = {"reading": read - began, "writing": written - read, "total": written - began}
            summary = summary.model_copy(update={"seconds": {name: round(s, 3) for name, s in seconds.items()}})
            write_json(writer.directory / SUMMARY_NAME, summary.model_dump(mode="json"))
            if reading.conflicts:
                table = pd.concat(reading.conflicts)
                table.to_csv(writer.directory / CONFLICTS_NAME, index=False, errors="backslashreplace")
    tell(summary)
    return summary


def finish(
    config: PreprocessConfig, source: Source, reading: Reading, sink: PatchCollector, digest: str
) -> PreprocessSummary:
    """Select and split the patches that were read, and finish both patch sets."""
    index = sink.patches.index()
    choice = choose(config, source, reading, sink, index)
    kept = index[choice.keep].assign(split=choice.splits[choice.keep])
    summary = summarise(config, source, reading, kept, choice, digest)
    side = dict(zip(kept["file"], kept["split"], strict=True))
    overview_splits = [side.get(file, "") for file in sink.overview_files]
    summary = summary.model_copy(update={"overviews": sum(map(bool, overview_splits))})
    made_by = {
        "step": "preprocess",
        "config": config.model_dump(mode="json", exclude={"workers"}),
        "source_digest": digest,
        "summary": summary.model_dump(mode="json", exclude={"seconds"}),
    }
    sink.patches.mpp = summary.mpp
    sink.patches.finish(made_by, split=choice.splits, keep=choice.keep)
    sink.overviews.finish(
        made_by,
        split=np.asarray(overview_splits, dtype=object),
        keep=np.asarray([bool(split) for split in overview_splits], np.bool_),
    )
    return summary


def summarise(
    config: PreprocessConfig, source: Source, reading: Reading, kept: pd.DataFrame, choice: Choice, digest: str
) -> PreprocessSummary:
    """Return the summary, without overviews and durations."""
    splits = [name for name in SPLITS if (kept["split"] == name).any()]
    per_cell = kept.groupby(["split", "class_name"]).size().to_dict()
    known = kept["mpp"].dropna()
    same = len(known) == len(kept) and known.max() <= known.min() * (1 + SAME_MPP)
    if len(known) and not same:
        unknown = ", and unknown ones" if len(known) < len(kept) else ""
        reading.warnings.append(
            f"The patches have different resolutions ({known.min():.3g} to {known.max():.3g} um/px{unknown}): "
            f"cut them by mpp instead of by level"
        )
    if choice.split_by == "slide":
        reading.warnings.append(
            "The split is by slide, not by patient: patches of one patient may stand on two sides, "
            "which flatters all results"
        )
    return PreprocessSummary(
        kind=source.kind,
        source=config.source,
        source_digest=digest,
        classes=source.classes,
        patch_size=config.size,
        mpp=float(known.median()) if same else None,
        counts={name: {label: int(per_cell.get((name, label), 0)) for label in source.classes} for name in splits},
        patients={name: int(kept.loc[kept["split"] == name, "patient"].nunique()) for name in splits},
        patients_known=source.patients_known,
        split_by=choice.split_by,
        files=reading.files,
        failed=reading.failed,
        dropped=reading.dropped,
        warnings=reading.warnings,
    )


def tell(summary: PreprocessSummary) -> None:
    """Log the summary."""
    unit = "patients" if summary.patients_known else "files"
    for split, counts in summary.counts.items():
        shown = ", ".join(f"{name} {count}" for name, count in counts.items())
        say(f"preprocess: {split}: {shown} ({unit}: {summary.patients[split]})")
    for failure in summary.failed:
        say(f"preprocess: skipped {failure.name}: {failure.reason}")
    for warning in summary.warnings:
        say(f"preprocess: warning: {warning}")
