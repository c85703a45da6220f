"""The protocol of sources, the log of reading them, their classes, and threads."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import pandas as pd

from histoforge.core.errors import SourceError
from histoforge.ingest.codecs import Codec
from histoforge.ingest.collector import PatchCollector
from histoforge.ingest.config import Failure

Result = TypeVar("Result")

THINNED = "training patches beyond train_fraction"
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
UNKNOWN_PATIENTS = (
    "The source does not identify patients, so each {unit} counts as a separate patient: patches of one patient may be "
    "in more than one split"
)


@dataclass
class ReadLog:
    """The log of reading a source.

    Attributes:
        source: the location, as the user wrote it.
        max_failures: maximum number of slides or images that may fail.
        temporary: a folder for fetched files.
        failed: slides or images that were skipped.
        dropped: patches or images left out, by reason.
        warnings: one sentence per warning.
        conflicts: patches whose pixels occur in two classes or in two splits, one table per kind.
        files: slides or images that yielded patches.
        codecs: the codec of each slide or image that was read, by its name; empty for sources that do not record it.
    """

    source: str
    max_failures: int
    temporary: Path
    failed: list[Failure] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    conflicts: list[pd.DataFrame] = field(default_factory=list)
    files: int = 0
    codecs: dict[str, Codec] = field(default_factory=dict)

    def fail(self, name: str, error: Exception) -> None:
        """Note that a slide or image failed.

        Raises:
            SourceError: more have failed than are allowed.
        """
        self.failed.append(Failure(name=name, reason=self.named(error)))
        if len(self.failed) > self.max_failures:
            raise SourceError(
                f"{len(self.failed)} slides or images failed, more than max_failed_slides={self.max_failures} allows "
                f"({', '.join(failure.name for failure in self.failed[:5])}); the last one: {self.named(error)}"
            ) from error

    def named(self, error: Exception) -> str:
        """Return an error's message, with the names that the user knows for fetched files."""
        return str(error).replace(str(self.temporary), self.source)

    def drop(self, reason: str, count: int = 1) -> None:
        """Count patches or images that were left out."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


class Source(Protocol):
    """A source of slides, images or PatchCamelyon, which knows its classes before it reads a pixel.

    Attributes:
        kind: 'slides', 'images' or 'pcam'.
        classes: class names in their order.
        patients_known: True if it identifies patients.
        has_split: True if it names the split of each patch.
        thinned: the values of 'file' of the patches for the positive control, in a source that thins its training
            patches itself; None in the others.
    """

    kind: str
    classes: list[str]
    patients_known: bool
    has_split: bool
    thinned: frozenset[str] | None

    def outline(self) -> list[tuple[str, str, str, str]]:
        """Return patient, slide, class and split of the patches to read, as far as known, to find errors early."""
        ...

    def read(self, collector: PatchCollector) -> None:
        """Add all patches and overviews to the collector, in an order that does not depend on the threads."""
        ...


def patient_unit(source: Source) -> str:
    """Return the word for what counts as a patient: 'patients', or 'slides' or 'images' if no patients are known."""
    if source.patients_known:
        return "patients"
    return "slides" if source.kind == "slides" else "images"


def worker_count(workers: int) -> int:
    """Return the number of reading and decoding threads: `workers`, or one per core that this process may use if 0."""
    return workers or _usable_cores()


def in_order(jobs: Iterator[Future[Result]], ahead: int) -> Iterator[Result]:
    """Yield the results of jobs in order, with at most `ahead` of them in progress besides the current one."""
    waiting: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            waiting.append(job)
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for job in waiting:
            job.cancel()


def select_classes(available: set[str], requested: list[str], ignored: set[str], source: str) -> list[str]:
    """Return the classes in order.

    Args:
        available: the classes of the source.
        requested: the classes that the user lists; if empty, all available ones are taken, sorted.
        ignored: classes to leave out.
        source: name of the source in messages.

    Raises:
        SourceError: there are fewer than two classes, or a requested one is missing.
    """
    classes = requested or sorted(available - ignored)
    absent = [name for name in classes if name not in available]
    if absent:
        raise SourceError(
            f"Class '{absent[0]}' of 'classes' does not occur in {source}: it has {', '.join(sorted(available))}."
        )
    if len(classes) < 2:
        raise SourceError(
            f"{source} has {len(classes)} class{'' if classes else 'es'}"
            f"{f' ({classes[0]})' if classes else ''}, and at least two are needed: add images or regions of another."
        )
    return classes


def examples(names: Sequence[str], limit: int = 3) -> str:
    """Return the first few names, separated by commas, with an ellipsis if there are more."""
    return f"{', '.join(names[:limit])}{' …' if len(names) > limit else ''}"


def _usable_cores() -> int:
    """Return the number of cores that the process may use, within a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores
