"""Shards: parts of the slides of a source, of about equal bytes, that are cut apart from each other."""

import heapq
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from histoforge.core.digests import digest_json
from histoforge.core.errors import SourceError
from histoforge.ingest.slide_list import slide_files
from histoforge.storage import Entry

SHARD_BYTES = 32 * 2**30
"""Size of a shard where its number is not given: about an hour of cutting."""
MAX_SHARDS = 64
"""Kubeflow keeps the state of all pods of a run in one object of limited size."""
MAX_SHARD_SLIDES = 1000
"""A task's parameters, among them the slides of its shard, are one argument of its process, of 128 KiB at most."""
_LISTED = re.compile(r"(?P<file>.+?)(@(?P<version>[0-9a-f]{16}))?")


@dataclass(frozen=True)
class ListedSlide:
    """A slide as listed, before it is opened: its path below the source, its size, and a digest of its version."""

    file: str
    bytes: int
    version: str

    @property
    def text(self) -> str:
        """The slide as an item of `cut_slides.slides`."""
        return f"{self.file}@{self.version}"


def list_versions(entries: Sequence[Entry]) -> list[ListedSlide]:
    """Return the slides among the files of a source, each with its companions, in order of their paths."""
    slides = []
    for file, parts in slide_files(entries).items():
        version = digest_json([[part.name, part.size, part.version] for part in parts])[:16]
        slides.append(ListedSlide(file, sum(part.size for part in parts), version))
    return slides


def plan_shards(slides: Sequence[ListedSlide], shards: int) -> list[list[ListedSlide]]:
    """Divide slides into shards of about equal bytes; each keeps the order of their paths.

    The largest slide that is left goes to the shard with the fewest bytes.

    Args:
        slides: the slides.
        shards: number of shards, at most one per slide; 0 for one per `SHARD_BYTES`, at most `MAX_SHARDS`.
    """
    enough = max(sum(slide.bytes for slide in slides) / SHARD_BYTES, len(slides) / MAX_SHARD_SLIDES)
    by_size = min(MAX_SHARDS, math.ceil(enough))
    count = max(1, min(shards or by_size, len(slides)))
    least = [(0, number) for number in range(count)]
    parts: list[list[ListedSlide]] = [[] for _ in least]
    for slide in sorted(slides, key=lambda slide: (-slide.bytes, slide.file)):
        size, number = heapq.heappop(least)
        parts[number].append(slide)
        heapq.heappush(least, (size + slide.bytes, number))
    return [sorted(part, key=lambda slide: slide.file) for part in parts]


def check_listed(listed: Sequence[str], entries: Sequence[Entry]) -> set[str]:
    """Return the files of listed slides, after comparing them with those that are at the source now.

    Args:
        listed: slides as paths, or as `ListedSlide.text`.
        entries: the files of the source.

    Raises:
        SourceError: a slide is missing, has changed since it was listed, or is listed twice.
    """
    now = {slide.file: slide.version for slide in list_versions(entries)}
    files: set[str] = set()
    for text in listed:
        match = _LISTED.fullmatch(text)
        file, version = (match["file"], match["version"]) if match else (text, None)
        if file not in now:
            raise SourceError(f"The slide {file} is not at the source (any more): list the source again.")
        if version not in (None, now[file]):
            raise SourceError(f"The slide {file} has changed since it was listed: run the pipeline again.")
        if file in files:
            raise SourceError(f"The slide {file} is listed twice: name it once.")
        files.add(file)
    return files
