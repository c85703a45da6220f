"""The kinds of results that commands write, and the checks that distinguish them from other files."""

import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from histoforge.core.documents import parse_json
from histoforge.core.errors import StorageError
from histoforge.core.unfinished import is_unfinished

RECORD = ".histoforge.json"
"""The file in a result's directory that records which command made it, with which settings."""
TIMINGS = "timings.json"
"""The file in a result's directory that says where the time of the command went."""
LEFT_BESIDE = (RECORD, TIMINGS)
"""Files that a command leaves in a result's directory and that are not part of it."""

_MODEL = ("model.json", "model.safetensors", "history.json", "guide.json", "training.jsonl", "pictures/*.png")
_SLIDE = ("slide.json", "patches.csv", "tiles.geojson", "regions.geojson", "heat_map.png")
_CUT_SLIDE = ("picture.jpg", "*/images.npy", "*/images.parquet", "*/plan.parquet")
_WORK = (
    "*training.jsonl",
    "*tensorboard/events.*",
    "*checkpoint-*.safetensors",
    "*image-*.png",
    *(f"*/{file}" for file in _SLIDE),
)


@dataclass(frozen=True)
class ResultKind:
    """A kind of directory that is written as a whole.

    Attributes:
        name: its name in messages.
        description: the file that identifies it.
        files: patterns of the other files that it may contain, as relative paths with '/'.
        entries: entries of the description that also identify it; None stands for any value.
    """

    name: str
    description: str
    files: tuple[str, ...]
    entries: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
        name: its name in messages.
        keys: top-level keys that identify a JSON file; none for an HTML page.
    """

    name: str
    keys: frozenset[str] = frozenset()


KINDS = {
    "patches": ResultKind(
        "patch set",
        "patchset.json",
        (
            "images.npy",
            "images.parquet",
            "images/*.npy",
            "images/*.parquet",
            "index.parquet",
            "conflicts.csv",
            "summary.json",
            "pictures/*.jpg",
            "pictures/*.json",
        ),
    ),
    "cuts": ResultKind("folder of cut slides", "cuts.json", tuple(f"*/{file}" for file in ("cut.json", *_CUT_SLIDE))),
    "cut_slide": ResultKind("cut slide", "cut.json", _CUT_SLIDE),
    "generator": ResultKind(
        "generator", "model.json", (*_MODEL, *(f"classifier/{file}" for file in _MODEL)), (("kind", "generator"),)
    ),
    "guide": ResultKind("guide", "model.json", _MODEL, (("kind", "guide"),)),
    "autoencoder": ResultKind("autoencoder", "model.json", _MODEL, (("kind", "autoencoder"),)),
    "upscaler": ResultKind("upscaler", "model.json", _MODEL, (("kind", "upscaler"),)),
    "latents": ResultKind("latents", "latents.json", ("latents.npy", "index.parquet", "summary.json")),
    "classifier": ResultKind("classifier", "model.json", _MODEL, (("kind", "classifier"),)),
    "arm": ResultKind("arm", "arm.json", tuple(f"{model}/{file}" for model in ("seed-*", "judge") for file in _MODEL)),
    "scores": ResultKind("scores of a generator", "scores.json", ("features.npz", "history.json", "pictures/*.png")),
    "image_scores": ResultKind("scores of large images", "image_scores.json", ("pictures/*.png",)),
    "predictions": ResultKind(
        "predictions on slides",
        "predictions.json",
        ("slides.csv", "patients.csv", *(f"slides/*/{file}" for file in _SLIDE)),
    ),
    "slide_predictions": ResultKind("predictions on a slide", "slide.json", _SLIDE),
    "export": ResultKind(
        "export of a patch set",
        "datasheet.json",
        ("README.md", "origin.yaml", "labels.csv", "patches.csv", "*/*.png"),
    ),
    "pictures": ResultKind("pictures of a generator", "pictures.json", ("*.png",), (("generator", None),)),
    "publication": ResultKind("publication", "decision.json", ("model_card.json", "README.md")),
    "version": ResultKind("published version", "version.json", ("model/*", "model_card.json", "README.md")),
    "synthetic_slides": ResultKind(
        "folder of synthetic slides", "slides.json", ("slides.csv", "*.tiff"), (("kind", "synthetic_slides"),)
    ),
    "slides": ResultKind("folder of phantom slides", RECORD, ("*",), (("phantom", None),)),
}
FILE_KINDS = {
    "page": FileKind("page of histoforge"),
    "metrics": FileKind("results of an evaluation", frozenset({"answer", "arms"})),
    "ranking": FileKind("results of a leaderboard", frozenset({"answer", "methods"})),
    "similar": FileKind("numbers of a page", frozenset({"guide", "patches", "queries"})),
    "duplicates": FileKind("numbers of a page", frozenset({"guide", "synthetic", "real"})),
}
_PAGE_MARK = b'<meta name="generator" content="histoforge '
_PAGE_HEAD_BYTES = 1 << 16


def check_replaceable(path: Path, kinds: Collection[str] = ()) -> bool:
    """Check that `path` is unused, an empty directory or an earlier result, so that a directory may be written there.

    Args:
        path: the directory to write.
        kinds: keys of `KINDS`; none for all of them.

    Returns:
        Whether `path` is an earlier result.

    Raises:
        StorageError: `path` is a link, a file, a directory of another kind, or a result with foreign files.
    """
    if _is_free(path, directory=True):
        return False
    allowed = [KINDS[name] for name in kinds or KINDS]
    kind = next((kind for kind in allowed if _is_of(path, kind)), None)
    if kind is None:
        wanted = " or ".join(sorted(kind.name for kind in allowed)) if kinds else "result of histoforge"
        raise StorageError(f"{path} already exists and is no {wanted}: name a new folder, or move this one away.")
    foreign = next(foreign_files(path, (kind.description, *kind.files)), "")
    if foreign:
        raise StorageError(
            f"{path} contains {foreign}, which is not part of the {kind.name} and would be lost: move it away, or name "
            "a new folder."
        )
    return True


def check_replaceable_file(path: Path, kind: str) -> bool:
    """Check that `path` is unused or an earlier file of the same kind, so that a file may be written there.

    Args:
        path: the file to write.
        kind: a key of `FILE_KINDS`.

    Returns:
        Whether `path` is an earlier file of the kind.

    Raises:
        StorageError: `path` is a link, a directory, or a file of another kind.
    """
    if _is_free(path, directory=False):
        return False
    if not _is_file_of(path, FILE_KINDS[kind]):
        raise StorageError(
            f"{path} already exists and is no {FILE_KINDS[kind].name}: name a new one, or move this one away."
        )
    return True


def work_beside(output: Path, suffix: str) -> Path:
    """Return the folder beside an output in which a command keeps its log, checkpoints and finished parts.

    Raises:
        StorageError: the folder is a file or a link, or contains foreign files.
    """
    folder = output.with_name(f"{output.name}{suffix}")
    if not _is_free(folder, directory=True) and (foreign := next(foreign_files(folder, _WORK), "")):
        raise StorageError(
            f"{folder} is the folder of unfinished work, but it contains {foreign}: move that file away, or name "
            "another output."
        )
    return folder


def remove_work(folder: Path) -> None:
    """Remove the folder of a finished command, unless it contains foreign files."""
    if folder.is_dir() and next(foreign_files(folder, _WORK), None) is None:
        shutil.rmtree(folder, ignore_errors=True)


def foreign_files(folder: Path, patterns: Collection[str]) -> Iterator[str]:
    """Yield the relative paths of the files below a folder that match no pattern, skipping unfinished files."""
    for parent, below, names in os.walk(folder):
        links = [name for name in below if Path(parent, name).is_symlink()]
        for name in sorted([*names, *links]):
            relative = Path(parent, name).relative_to(folder).as_posix()
            if (
                name not in LEFT_BESIDE
                and not is_unfinished(name)
                and not any(fnmatchcase(relative, p) for p in patterns)
            ):
                yield relative


def _is_free(path: Path, directory: bool) -> bool:
    """Return whether `path` is unused or, if a directory is to be written, an empty directory.

    Raises:
        StorageError: `path` is a link, a file where a directory is to be written, or the other way round.
    """
    if path.is_symlink():
        raise StorageError(f"{path} is a link to {os.readlink(path)}: name that path itself, or a new one.")
    if not path.exists():
        return True
    if path.is_dir() != directory:
        kind, other = ("file", "folder") if directory else ("folder", "file")
        raise StorageError(f"{path} is a {kind}: name a new {other}, or move it away.")
    return directory and next(path.iterdir(), None) is None


def _is_of(path: Path, kind: ResultKind) -> bool:
    file = path / kind.description
    if not file.is_file():
        return False
    description = read_json_or_empty(file) if kind.entries else {}
    return all(name in description and value in (None, description[name]) for name, value in kind.entries)


def _is_file_of(path: Path, kind: FileKind) -> bool:
    if kind.keys:
        return kind.keys <= read_json_or_empty(path).keys()
    with open(path, "rb") as file:
        return _PAGE_MARK in file.read(_PAGE_HEAD_BYTES)


def read_json_or_empty(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, or an empty one if the file is missing, damaged, or contains something else."""
    try:
        value = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
