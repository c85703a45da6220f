"""A slide that was cut before: a directory with its plans, the pixels of its patches and its picture."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from histoforge.core.digests import digest_file
from histoforge.core.documents import known_shape
from histoforge.core.errors import SourceError
from histoforge.core.seals import read_sealed, write_sealed
from histoforge.ingest.codecs import Codec
from histoforge.ingest.opened_slide import Batches, CutSlide, Level, SlideFacts, SlideOverview
from histoforge.patches.images import image_reader, image_writer
from histoforge.slides import Scale
from histoforge.slides.batches import plan_blocks

FORMAT, VERSION = "histoforge.cut_slide", 2
INFO_NAME, PLAN_NAME, PICTURE_NAME = "cut.json", "plan.parquet", "picture.jpg"
PATCHES, OVERVIEWS, OVERVIEW = "patches", "overviews", "overview"
ADVICE = "delete this folder, and the slide is cut again"


class StoredSlide:
    """A slide that was cut before, which yields the same as the open slide (`CutSlide`).

    Attributes:
        patches, overviews, warnings, codec: see `CutSlide`.
    """

    def __init__(self, folder: Path, info: Mapping[str, Any]) -> None:
        self._folder = folder
        self._facts, self._overview_key = SlideFacts(**info["facts"]), int(info["overview_key"])
        quality = info["jpeg_quality"]
        self.codec = Codec(str(info["codec"]), float("nan") if quality is None else float(quality))
        self.warnings = [str(warning) for warning in info["warnings"]]
        self.patches = self._level(PATCHES, info["levels"])
        self.overviews = self._level(OVERVIEWS, info["levels"]) if OVERVIEWS in info["levels"] else None

    @classmethod
    def open(cls, folder: Path, key: str) -> "StoredSlide":
        """Open a slide and verify all its digests.

        Raises:
            SourceError: a file is missing or damaged, or it is another slide than the one with `key`.
        """
        info = read_sealed(folder / INFO_NAME, VERSION, ADVICE, SourceError)
        if info.get("format") != FORMAT or info.get("key") != key:
            raise SourceError(f"{folder} does not contain the slide that its name stands for: {ADVICE}.")
        with known_shape(folder / INFO_NAME, SourceError, ADVICE):
            for name, digest in info["files"].items():
                if not (folder / name).is_file() or digest_file(folder / name) != digest:
                    raise SourceError(f"{folder / name} is missing or damaged: {ADVICE}.")
        try:
            return cls(folder, info)
        except (pa.ArrowException, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise SourceError(f"{folder} does not match its description ({reason}): {ADVICE}.") from None

    def overview(self) -> SlideOverview:
        pixels = image_reader(next((self._folder / OVERVIEW).iterdir())).read(np.zeros(1, np.int64))[0]
        return SlideOverview(pixels, self._overview_key)

    def read(self, level: Level, rows: NDArray[np.int64]) -> Batches:
        name = PATCHES if level is self.patches else OVERVIEWS
        reader = image_reader(next((self._folder / name).glob("images.*")))
        plan = level.plan.iloc[rows]
        stored = plan["image"].to_numpy(np.int64)
        for block in plan_blocks(plan["x"].to_numpy(np.int64), plan["y"].to_numpy(np.int64), level.scale):
            yield block, reader.read(stored[block])

    def picture(self, path: Path) -> SlideFacts:
        shutil.copyfile(self._folder / PICTURE_NAME, path)
        return self._facts

    def _level(self, name: str, scales: Mapping[str, Any]) -> Level:
        scale = {**scales[name], **{side: tuple(scales[name][side]) for side in ("patch_size", "window")}}
        return Level(pd.read_parquet(self._folder / name / PLAN_NAME), Scale(**scale))


def store_slide(
    folder: Path, key: str, slide: CutSlide, patches: NDArray[np.int64], overviews: NDArray[np.int64]
) -> None:
    """Read a slide and write it to an empty directory.

    Args:
        folder: the directory.
        key: the identity of the slide and of the settings with which it is cut.
        slide: the open slide.
        patches, overviews: rows of the two plans to read; the plans are stored whole.

    Raises:
        SlideError: the slide is damaged.
    """
    overview = slide.overview()
    _write_images(folder / OVERVIEW, overview.pixels.shape[:2], [overview.pixels[None]])
    levels = {PATCHES: (slide.patches, patches)}
    if slide.overviews is not None:
        levels[OVERVIEWS] = (slide.overviews, overviews)
    for name, (level, rows) in levels.items():
        _write_level(folder / name, slide, level, rows)
    facts, codec = slide.picture(folder / PICTURE_NAME), slide.codec
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    info = {
        "format": FORMAT,
        "key": key,
        "warnings": slide.warnings,
        "levels": {name: asdict(level.scale) for name, (level, _) in levels.items()},
        "codec": codec.name,
        "jpeg_quality": None if np.isnan(codec.quality) else codec.quality,
        "overview_key": str(overview.key),
        "facts": asdict(facts),
        "files": {path.relative_to(folder).as_posix(): digest_file(path) for path in files},
    }
    write_sealed(folder / INFO_NAME, info, VERSION)


def _write_level(folder: Path, slide: CutSlide, level: Level, rows: NDArray[np.int64]) -> None:
    """Write the plan of a level, with the position of each patch among the images, and the images at `rows`."""
    order: list[NDArray[np.int64]] = [np.empty(0, np.int64)]

    def images() -> Any:
        for batch, pixels in slide.read(level, rows):
            order.append(rows[batch])
            yield pixels

    _write_images(folder, level.scale.patch_size, images())
    position = np.full(len(level.plan), -1, np.int64)
    read = np.concatenate(order)
    position[read] = np.arange(len(read))
    level.plan.assign(image=position).to_parquet(folder / PLAN_NAME, index=False)


def _write_images(folder: Path, size: Sequence[int], batches: Any) -> None:
    folder.mkdir()
    writer = image_writer(folder, (size[0], size[1]))
    for pixels in batches:
        writer.write(pixels)
    writer.close()
