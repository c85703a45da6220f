"""List the slides with their patients, and the classes that are known before a slide is opened."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from histoforge.core.errors import SlideError, SourceError
from histoforge.ingest import tables
from histoforge.ingest.config import IngestConfig
from histoforge.ingest.source import UNKNOWN_PATIENTS, ReadLog, examples, select_classes
from histoforge.slides.annotations import EXTENSIONS as ANNOTATION_EXTENSIONS
from histoforge.slides.annotations import annotated_classes
from histoforge.slides.names import slide_name
from histoforge.slides.reading import EXTENSIONS as SLIDE_EXTENSIONS
from histoforge.storage import Entry, Location, open_location
from histoforge.storage.local import LocalLocation

COLUMNS = ("slide", "patient", "label", "mpp", "split")
FOLDER_FORMATS = (".dcm", ".vms", ".vmu")
GEOJSON = ".geojson"


@dataclass(frozen=True)
class SlideItem:
    """One slide.

    Attributes:
        file: its path below the source.
        name: its name, by `slide_name`.
        label: its class from slides.csv; '' if there is none.
        mpp: um/px of level 0 from slides.csv, which overrides that of the file; None if there is none.
        annotation: its annotation file, fetched; None if there is none.
        classes: the classes that its patches may have.
        companions: the other files of the slide, for formats with several files.
    """

    file: str
    name: str
    patient: str
    label: str
    split: str
    mpp: float | None
    annotation: Path | None = None
    classes: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()


@dataclass
class SlideList:
    """The slides to read, in order of their paths, and the classes of all of them."""

    items: list[SlideItem]
    classes: list[str]
    patients_known: bool
    has_split: bool
    unlabelled: list[str] = field(default_factory=list)


def is_slide_name(name: str) -> bool:
    """Return True if a file has an extension of slides."""
    return name.lower().endswith(SLIDE_EXTENSIONS)


def slide_files(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the files of each slide, its companions after itself, by its own, in order of the paths."""
    by_name = {entry.name: entry for entry in entries}
    slides = _without_series([name for name in by_name if is_slide_name(name)])
    return {file: [by_name[name] for name in (file, *_companions(file, entries))] for file in slides}


def list_slides(config: IngestConfig, location: Location, entries: list[Entry], log: ReadLog) -> SlideList:
    """List the slides of a source with their labels.

    Raises:
        SourceError: no slide has a label or annotation, there are fewer than two classes, or tables and files
            contradict each other.
    """
    files, table, rows = _listed_files(config.labels, location, entries, log)
    annotations = _annotations(config, location, entries, files, log)
    matcher = tables.patient_matcher(config.patient_pattern)
    items, unlabelled = [], []
    for file in files:
        if table and file not in rows:
            continue
        item = _item(file, rows.get(file, {}), table, matcher, entries)
        annotation = annotations.get(file)
        classes = _classes(annotation, item.label, config)
        if classes:
            items.append(replace(item, annotation=annotation, classes=classes))
        else:
            unlabelled.append(file)
    return _check_list(config, location, items, unlabelled, _knows_patients(matcher, table), log)


def list_unlabelled_slides(
    labels: str, patient_pattern: str, location: Location, entries: list[Entry], log: ReadLog
) -> SlideList:
    """List all slides of a source, whether they have labels or not; the result has no classes.

    Args:
        labels: path of a slides.csv, or '' for the one in the source, if any; slides that it does not list are left
            out.
        patient_pattern: regular expression whose first group is the patient in a slide's path; '' for the table's.
        location: the source.
        entries: its files.
        log: gets the warnings.

    Raises:
        SourceError: there are no slides, two have the same name, or the table contradicts the files.
    """
    files, table, rows = _listed_files(labels, location, entries, log)
    matcher = tables.patient_matcher(patient_pattern)
    listed = [file for file in files if not table or file in rows]
    items = [_item(file, rows.get(file, {}), table, matcher, entries) for file in listed]
    _check_names(items, location)
    patients_known = _knows_patients(matcher, table)
    if not patients_known:
        log.warnings.append("The source does not identify patients, so each slide counts as a separate patient")
    return SlideList(items, [], patients_known, has_split=False)


def _listed_files(
    labels: str, location: Location, entries: list[Entry], log: ReadLog
) -> tuple[list[str], tables.Table | None, dict[str, dict[str, str]]]:
    """Return the slides of a source, its table if there is one, and the table's rows by slide.

    Raises:
        SourceError: there are no slides, or the table contradicts the files.
    """
    files = _without_series([entry.name for entry in entries if is_slide_name(entry.name)])
    if not files:
        raise SourceError(f"There are no slides in {location}: give a folder with files {', '.join(SLIDE_EXTENSIONS)}.")
    table = tables.load_table(labels, "slides.csv", location, entries, log.temporary, COLUMNS)
    return files, table, _rows_by_file(table, files, location, log)


def _item(
    file: str,
    row: dict[str, str],
    table: tables.Table | None,
    matcher: re.Pattern[str] | None,
    entries: list[Entry],
) -> SlideItem:
    """Return a slide with what its table's row says of it, and without annotation.

    Raises:
        SourceError: its patient, split or mpp is missing or wrong.
    """
    name = slide_name(PurePosixPath(file))
    patient = tables.match_patient(matcher, file) if matcher else row.get("patient", "") or name
    if table and "patient" in table.columns and not matcher:
        tables.cell_value(row, table, "patient", "slide")
    return SlideItem(
        file,
        name,
        patient,
        row.get("label", ""),
        tables.split_of_row(row, table, "slide") if table else "",
        _mpp(row, table),
        companions=_companions(file, entries),
    )


def _knows_patients(matcher: re.Pattern[str] | None, table: tables.Table | None) -> bool:
    return bool(matcher or (table and "patient" in table.columns))


def _check_names(items: Sequence[SlideItem], location: Location) -> None:
    files: dict[str, str] = {}
    for item in items:
        first = files.setdefault(item.name, item.file)
        if first != item.file:
            raise SourceError(
                f"The slides {first} and {item.file} in {location} have the same name '{item.name}': rename one of "
                "them."
            )


def _check_list(
    config: IngestConfig,
    location: Location,
    items: list[SlideItem],
    unlabelled: list[str],
    patients_known: bool,
    log: ReadLog,
) -> SlideList:
    if not items:
        raise SourceError(
            f"None of the slides in {location} has a label: write a slides.csv (slide,patient,label) or annotations."
        )
    if unlabelled:
        log.warnings.append(
            f"{len(unlabelled)} slides have neither a label nor an annotation; they are left out: "
            f"{examples(unlabelled)}"
        )
    _check_names(items, location)
    classes = select_classes(
        {name for item in items for name in item.classes}, config.class_list, config.ignored, config.source
    )
    if not patients_known:
        log.warnings.append(UNKNOWN_PATIENTS.format(unit="slide"))
    return SlideList(items, classes, patients_known, bool(items[0].split))


def _rows_by_file(
    table: tables.Table | None, files: Sequence[str], location: Location, log: ReadLog
) -> dict[str, dict[str, str]]:
    """Return the table's rows by slide file. Rows name slides by path, by file name, or by that without extension."""
    if table is None:
        return {}
    by_key: dict[str, list[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        for key in {file, path.name, str(path.with_suffix("")), *_names(path)}:
            by_key.setdefault(key, []).append(file)
    tables.check_files_exist(table, [row["slide"] for row in table.rows], by_key, location)
    rows: dict[str, dict[str, str]] = {}
    for row in table.rows:
        candidates = by_key[row["slide"]]
        if len(candidates) > 1:
            raise SourceError(
                f"{table.name} lists '{row['slide']}', which may be {candidates[0]} or {candidates[1]}: write its path."
            )
        if candidates[0] in rows:
            raise SourceError(f"{table.name} lists the slide {candidates[0]} twice: remove one of the lines.")
        rows[candidates[0]] = row
    left_out = [file for file in files if file not in rows]
    if left_out:
        log.warnings.append(
            f"{table.name} does not list {len(left_out)} slides of the source; they are left out: {examples(left_out)}"
        )
    return rows


def _annotations(
    config: IngestConfig, location: Location, entries: list[Entry], files: Sequence[str], log: ReadLog
) -> dict[str, Path]:
    """Return the fetched annotation of each slide: the file of the same name, beside it or in any other folder."""
    if config.annotations:
        location = open_location(config.annotations)
        entries = location.source_entries()
    names = [entry.name for entry in entries if entry.name.lower().endswith(ANNOTATION_EXTENSIONS)]
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(PurePosixPath(name).stem, []).append(name)
    annotations: dict[str, Path] = {}
    for file in files:
        path = PurePosixPath(file)
        candidates = [annotation for name in sorted(_names(path)) for annotation in by_stem.get(name, [])]
        beside = [name for name in candidates if PurePosixPath(name).parent == path.parent]
        if len(beside or candidates) > 1:
            raise SourceError(
                f"The slide {file} has two annotations, {' and '.join((beside or candidates)[:2])}: keep one of them."
            )
        if candidates:
            annotations[file] = _fetched(location, (beside or candidates)[0], log)
    stems = {name for file in files for name in _names(PurePosixPath(file))}
    unmatched = [n for n in names if n.endswith(GEOJSON) and PurePosixPath(n).stem not in stems]
    if unmatched:
        raise SourceError(
            f"The annotation {unmatched[0]} belongs to no slide in {config.source}: give it its slide's name, or "
            "remove it."
        )
    return annotations


def _names(path: PurePosixPath) -> set[str]:
    """Return the names that tables and annotations may use: the slide's, or its file's without the last extension."""
    return {slide_name(path), path.stem}


def _fetched(location: Location, name: str, log: ReadLog) -> Path:
    """Return the path of a local annotation, or of a copy of a remote one, which is kept until the step ends."""
    if isinstance(location, LocalLocation):
        return location.root / name
    location.get(name, log.temporary / name)
    return log.temporary / name


def _classes(annotation: Path | None, label: str, config: IngestConfig) -> tuple[str, ...]:
    """Return the classes that patches of a slide may have: those of its regions, or else that of the slide."""
    if annotation is None:
        return (label,) if label and label not in config.ignored else ()
    try:
        names = [name for name in annotated_classes(annotation) if name not in config.ignored]
    except SlideError as error:
        raise SourceError(str(error)) from error
    return tuple(dict.fromkeys([*names, *([label] if label and not names else []), *config.outside]))


def _mpp(row: dict[str, str], table: tables.Table | None) -> float | None:
    text = row.get("mpp", "")
    if not text or table is None:
        return None
    try:
        mpp = float(text)
    except ValueError:
        mpp = 0.0
    if not 0.02 <= mpp <= 50:
        raise SourceError(f"{table.name} gives '{row['slide']}' the mpp '{text}': write um/px, such as 0.5.")
    return mpp


def _without_series(names: list[str]) -> list[str]:
    """Return the slides, with only the first of all DICOM files in a folder, which form one slide."""
    folders: set[str] = set()
    kept = []
    for name in names:
        if name.lower().endswith(".dcm"):
            folder = str(PurePosixPath(name).parent)
            if folder in folders:
                continue
            folders.add(folder)
        kept.append(name)
    return kept


def _companions(file: str, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the other files of a slide: a MIRAX slide's folder, or all files beside a DICOM or Hamamatsu one."""
    path = PurePosixPath(file)
    if path.suffix.lower() == ".mrxs":
        return tuple(e.name for e in entries if e.name.startswith(f"{path.with_suffix('')}/"))
    if path.suffix.lower() in FOLDER_FORMATS:
        return tuple(e.name for e in entries if PurePosixPath(e.name).parent == path.parent and e.name != file)
    return ()
