"""The step `preprocess`, which turns slides, image folders or PatchCamelyon files into a patch set split by patient."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.core.text import counted
from histoforge.evaluation.feasibility import (
    LARGE_ENOUGH,
    control_warning,
    enough_for_conclusion,
    outline_warnings,
    split_warnings,
)
from histoforge.ingest.codecs import codec_counts
from histoforge.ingest.collector import PatchCollector
from histoforge.ingest.levels import level_warnings, split_overviews
from histoforge.ingest.opening import open_source
from histoforge.ingest.source import ReadLog, Source, patient_unit
from histoforge.ingest.splitting import CONFLICTS_NAME, SplitPlan, SplitSettings, plan_splits
from histoforge.patches import PatchSetWriter
from histoforge.patches.patchset import SPLITS, count_splits
from histoforge.reports.text.splits import split_lines, splits_markdown
from histoforge.steps.preprocess_config import PreprocessConfig, PreprocessSummary
from histoforge.storage import digest_of_source, open_location

SUMMARY_NAME = "summary.json"
SAME_MPP = 0.05


def run(
    config: PreprocessConfig, *, patches: Path, overviews: Path, cuts: Sequence[Path] | None = None
) -> PreprocessSummary:
    """Read the source, and write the patch set and the overviews.

    Slides that `cut_slides` has cut are taken from `cuts`. The outputs are the same as without them, byte for byte.

    `patches/summary.json` contains the summary with durations; `patchset.json` records it without them under `made_by`.
    `patches/conflicts.csv` lists the patches whose pixels occur in two classes or in two splits, if there are any.
    Pictures of slides and `pictures.json` are in `overviews/pictures`.

    Raises:
        HistoforgeError: the source cannot be used; earlier outputs are left as they were.
    """
    began = time.monotonic()
    location = open_location(config.source)
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        log = ReadLog(str(location), config.max_failed_slides, Path(temporary))
        digest = digest_of_source(location)
        source = open_source(config, location, location.source_entries(), log, cuts or ())
        say(f"preprocess: {location} contains {source.kind}, with the classes {', '.join(source.classes)}")
        settings = SplitSettings.of(config)
        for warning in outline_warnings(settings, source):
            say(f"preprocess: warning: {warning}")
        with (
            PatchSetWriter.create(
                patches, source.classes, config.size, images_location=config.images_location
            ) as writer,
            PatchSetWriter.create(
                overviews, source.classes, config.overview_px, images_location=config.images_location
            ) as overview_writer,
        ):
            collector = PatchCollector(
                writer,
                overview_writer,
                classes=len(source.classes),
                max_per_class=config.max_patches_per_class,
                max_overviews_per_class=config.max_overviews_per_class,
                seed=config.seed,
            )
            source.read(collector)
            collector.close()
            read = time.monotonic()
            summary = _finish(config, settings, source, log, collector, digest)
            written = time.monotonic()
            seconds = {"reading": read - began, "writing": written - read, "total": written - began}
            summary = summary.model_copy(update={"seconds": {name: round(s, 3) for name, s in seconds.items()}})
            write_json(writer.directory / SUMMARY_NAME, summary.model_dump(mode="json", exclude={"markdown"}))
            if log.conflicts:
                table = pd.concat(log.conflicts)
                table.to_csv(writer.directory / CONFLICTS_NAME, index=False, errors="backslashreplace")
    return _log_summary(summary, patient_unit(source))


def _finish(
    config: PreprocessConfig,
    settings: SplitSettings,
    source: Source,
    log: ReadLog,
    collector: PatchCollector,
    digest: str,
) -> PreprocessSummary:
    """Select and split the patches that were read, and finish both patch sets."""
    index = collector.patches.index()
    plan = plan_splits(settings, source, log, collector, index)
    kept = index[plan.keep].assign(split=plan.splits[plan.keep])
    summary = _summarise(config, settings, source, log, kept, plan, digest)
    overviews = collector.overviews.index()
    overviews["split"] = split_overviews(overviews, kept)
    keep_overviews = (overviews["split"] != "").to_numpy() & collector.overviews_to_keep
    shown = overviews[keep_overviews]
    warnings = level_warnings(shown, source.classes) if config.overview_shrink else []
    summary = summary.model_copy(
        update={
            "overviews": len(shown),
            "overview_counts": count_splits(shown, source.classes) if config.overview_shrink else {},
            "warnings": summary.warnings + warnings,
        }
    )
    made_by = {
        "step": "preprocess",
        "config": config.model_dump(mode="json", exclude={"workers", "slide_cache", "images_location"}),
        "source_digest": digest,
        "summary": summary.model_dump(mode="json", exclude={"seconds", "markdown"}),
        **(codec_counts(log.codecs.values()) if log.codecs else {}),
    }
    collector.patches.mpp = summary.mpp
    collector.patches.finish(made_by, split=plan.splits, keep=plan.keep, columns=plan.columns)
    collector.overviews.mpp = summary.mpp * config.overview_shrink if summary.mpp and config.overview_shrink else None
    made_by |= {"level": "overview"} if config.overview_shrink else {}
    collector.overviews.finish(made_by, split=overviews["split"].to_numpy(dtype=object), keep=keep_overviews)
    return summary


def _summarise(
    config: PreprocessConfig,
    settings: SplitSettings,
    source: Source,
    log: ReadLog,
    kept: pd.DataFrame,
    plan: SplitPlan,
    digest: str,
) -> PreprocessSummary:
    """Return the summary, without overviews and durations."""
    splits = [name for name in SPLITS if (kept["split"] == name).any()]
    by_cell = kept.groupby(["split", "class_name"])["patient"].agg(["size", "nunique"])
    patches, patients = by_cell["size"].to_dict(), by_cell["nunique"].to_dict()
    mpp = _common_mpp(kept)
    log.warnings += _warnings(settings, source, kept, plan)
    return PreprocessSummary(
        kind=source.kind,
        source=config.source,
        source_digest=digest,
        classes=source.classes,
        patch_size=config.size,
        mpp=mpp,
        counts={name: {label: int(patches.get((name, label), 0)) for label in source.classes} for name in splits},
        patients={name: int(kept.loc[kept["split"] == name, "patient"].nunique()) for name in splits},
        patients_by_class={
            name: {label: int(patients.get((name, label), 0)) for label in source.classes} for name in splits
        },
        patients_known=source.patients_known,
        split_by=plan.split_by,
        control_by=plan.control_by,
        folds=settings.folds,
        tested=_tested(kept, source.classes) if settings.folds else {},
        files=log.files,
        failed=log.failed,
        dropped=log.dropped,
        warnings=log.warnings,
    )


def _common_mpp(kept: pd.DataFrame) -> float | None:
    """Return the resolution of the patches, um/px; None if it differs or is unknown for some."""
    resolutions = kept["mpp"].dropna()
    same = len(resolutions) == len(kept) and resolutions.max() <= resolutions.min() * (1 + SAME_MPP)
    return float(resolutions.median()) if same else None


def _warnings(settings: SplitSettings, source: Source, kept: pd.DataFrame, plan: SplitPlan) -> list[str]:
    """Return what a reader should know about the patches' resolution and split before anything is trained on them."""
    warnings = []
    resolutions = kept["mpp"].dropna()
    if len(resolutions) and _common_mpp(kept) is None:
        unknown = ", some unknown" if len(resolutions) < len(kept) else ""
        warnings.append(
            f"The patches have different resolutions ({resolutions.min():.3g} to {resolutions.max():.3g} "
            f"um/px{unknown}): cut them by mpp instead of by level"
        )
    if plan.split_by == "slide":
        warnings.append(
            "The split is by slide, not by patient: patches of one patient may be in several splits, which makes "
            "all results too optimistic"
        )
    return [
        *warnings,
        *control_warning(plan.control_by, settings, patient_unit(source)),
        *split_warnings(
            kept,
            source.classes,
            unit=patient_unit(source),
            split_by=plan.split_by,
            ratios=settings.ratios,
            seed=settings.seed,
            folds=settings.folds,
        ),
    ]


def _tested(kept: pd.DataFrame, classes: Sequence[str]) -> dict[str, int]:
    """Return the number of patients by class, all of whom the folds test, and under '' of all classes together."""
    by_class = kept.groupby("class_name")["patient"].nunique()
    return {"": int(kept["patient"].nunique()), **{name: int(by_class.get(name, 0)) for name in classes}}


def _enough(summary: PreprocessSummary) -> bool:
    """Return True if enough patients are tested for a conclusion."""
    if not summary.folds:
        return enough_for_conclusion(summary.patients, summary.patients_by_class)
    by_class = {name: count for name, count in summary.tested.items() if name}
    return enough_for_conclusion({"test": summary.tested[""]}, {"test": by_class})


def _log_summary(summary: PreprocessSummary, unit: str) -> PreprocessSummary:
    """Log the summary, and return it with its Markdown.

    Args:
        summary: the summary.
        unit: what counts as a patient; see `patient_unit`.
    """
    table = (summary.counts, summary.patients, summary.patients_by_class, unit)
    skipped = [f"{failure.name}: {failure.reason}" for failure in summary.failed]
    verdict = LARGE_ENOUGH if _enough(summary) else ""
    lines = split_lines(*table) + [f"skipped {text}" for text in skipped]
    if summary.folds:
        test_all = f"{summary.folds} folds test each of {counted(summary.tested[''], unit)} once"
        lines.insert(0, f"{test_all}; in the first fold:")
        verdict = f"{test_all}, and the table shows the first fold. {verdict}".rstrip(". ")
    lines += [f"warning: {warning}" for warning in summary.warnings] + [verdict] * bool(verdict)
    for line in lines:
        say(f"preprocess: {line}")
    markdown = splits_markdown(*table, verdict=verdict, warnings=summary.warnings, skipped=skipped)
    return summary.model_copy(update={"markdown": markdown})
