"""Read and check labels.csv and slides.csv."""

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from histoforge.core.errors import SourceError, StorageError
from histoforge.core.settings import nearest
from histoforge.storage import Entry, Location, open_location

SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Table:
    """A table read from a CSV file: one dict per row, and the file's name for messages."""

    name: str
    columns: list[str]
    rows: list[dict[str, str]]


def load_table(
    labels: str,
    file: str,
    location: Location,
    entries: list[Entry],
    temporary: Path,
    columns: Sequence[str],
    other_columns: bool = False,
) -> Table | None:
    """Return the table `labels`, or `file` at the top of the source if that is ''; None if neither exists."""
    if labels:
        parent, name = _parent_and_name(labels)
        with fetched_table(parent, name, temporary) as path:
            return read_table(path, labels, columns, other_columns)
    if any(entry.name == file for entry in entries):
        with fetched_table(location, file, temporary) as path:
            return read_table(path, f"{location}/{file}", columns, other_columns)
    return None


@contextmanager
def fetched_table(location: Location, name: str, temporary: Path) -> Iterator[Path]:
    """Return the local file of a table, as `Location.fetched` does.

    Raises:
        SourceError: there is no such file.
    """
    try:
        with location.fetched(name, temporary) as path:
            yield path
    except StorageError as error:
        raise SourceError(str(error)) from error


def read_table(path: Path, name: str, columns: Sequence[str], other_columns: bool = False) -> Table:
    """Read a CSV file (comma or semicolon, UTF-8), of which the first of `columns` is required and unique.

    Args:
        path: the file.
        name: its name in messages.
        columns: the columns that are used.
        other_columns: whether it may have other columns.

    Raises:
        SourceError: it is not readable text, lacks the column, has an unknown one, or lists the same file twice.
    """
    lines = iter(csv_rows(path, name))
    header = [column.strip() for column in next(lines, [])]
    key = columns[0]
    if key not in header:
        raise SourceError(f"{name} has no column '{key}': its first line must name columns from {', '.join(columns)}.")
    for column in header:
        unknown = column not in columns and not other_columns
        if unknown or header.count(column) > 1:
            problem = "an unknown column" if unknown else "two columns"
            raise SourceError(
                f"{name} has {problem} '{column}'{nearest(column, columns)}: its columns may be {', '.join(columns)}."
            )
    rows, seen = [], dict[str, int]()
    for line, cells in enumerate(lines, 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise SourceError(
                f"{name}, line {line}, has {len(cells)} cells instead of {len(header)}: correct the line."
            )
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        row[key] = row[key].replace("\\", "/").removeprefix("./")
        if not row[key]:
            raise SourceError(f"{name}, line {line}, has an empty '{key}': fill it in, or remove the line.")
        if row[key] in seen:
            raise SourceError(
                f"{name} lists '{row[key]}' twice, in lines {seen[row[key]]} and {line}: remove one of them."
            )
        seen[row[key]] = line
        rows.append(row)
    if not rows:
        raise SourceError(f"{name} lists nothing below its first line: add a line for each file.")
    return Table(name, header, rows)


def csv_rows(path: Path, name: str) -> list[list[str]]:
    """Return the cells of each line of a CSV file (comma or semicolon, UTF-8).

    Raises:
        SourceError: it is not readable text, or has a cell of more than 128 KiB.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError(f"{name} is not UTF-8 text: save it as 'CSV UTF-8'.") from None
    first = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(), delimiter=";" if ";" in first and "," not in first else ",")
    try:
        return list(reader)
    except csv.Error as error:
        raise SourceError(f"{name} is damaged in line {reader.line_num} ({error}): correct the line.") from None


def check_files_exist(table: Table, listed: Collection[str], existing: Collection[str], location: Location) -> None:
    """Check that all files which a table lists exist.

    Raises:
        SourceError: one does not.
    """
    missing = [name for name in listed if name not in existing]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise SourceError(
            f"{table.name} lists '{missing[0]}'{more}, which is not in {location}{nearest(missing[0], existing)}: "
            f"correct the table, or put the file there."
        )


def split_of_row(row: dict[str, str], table: Table, key: str) -> str:
    """Return the split that a row names, as 'train', 'val' or 'test'; empty if the table has no such column.

    Raises:
        SourceError: it is none of these.
    """
    if "split" not in table.columns:
        return ""
    split = SPLIT_NAMES.get(row["split"].lower())
    if split is None:
        raise SourceError(f"{table.name} gives '{row[key]}' the split '{row['split']}': write one of train, val, test.")
    return split


def cell_value(row: dict[str, str], table: Table, column: str, key: str, default: str = "") -> str:
    """Return a row's value, or `default` if the table has no such column.

    Raises:
        SourceError: the row's cell is empty, or the table lacks the column and there is no default.
    """
    if not (value := row.get(column, default)):
        raise SourceError(f"{table.name} gives '{row[key]}' no {column}: fill in the column '{column}'.")
    return value


def patient_matcher(pattern: str) -> re.Pattern[str] | None:
    """Return the compiled `patient_pattern`.

    Raises:
        SourceError: it is not a regular expression with a group.
    """
    if not pattern:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SourceError(f"patient_pattern '{pattern}' is not a regular expression ({error}): correct it.") from None
    if compiled.groups < 1:
        raise SourceError(
            f"patient_pattern '{pattern}' has no group: put the part that identifies the patient in parentheses."
        )
    return compiled


def match_patient(matcher: re.Pattern[str], name: str) -> str:
    """Return the patient named in a file's path.

    Raises:
        SourceError: the pattern does not match.
    """
    match = matcher.search(name)
    if match is None or not match.group(1):
        raise SourceError(
            f"patient_pattern '{matcher.pattern}' does not match '{name}': change the pattern or the name."
        )
    return match.group(1)


def _parent_and_name(text: str) -> tuple[Location, str]:
    parent, slash, name = text.rstrip("/").rpartition("/")
    return open_location(parent if slash and parent else "/" if slash else "."), name
