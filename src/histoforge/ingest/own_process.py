"""Cut slides in a process of its own, so that a slide that ends the process is a slide that failed."""

import os
import resource
import signal
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from histoforge.core.errors import HistoforgeError
from histoforge.core.memory import memory_limit
from histoforge.core.output import guard_output
from histoforge.core.timings import add_work, work_so_far
from histoforge.ingest.config import IngestConfig
from histoforge.ingest.opening import open_source
from histoforge.ingest.slide_store import SlideStore
from histoforge.ingest.slides import SlideSource
from histoforge.ingest.source import ReadLog
from histoforge.storage import open_location

MEMORY_SHARE = 0.9
"""Share of the memory that the process may take: beyond a container's limit, the kernel ends all of the container."""
OUT_OF_MEMORY = 128 + signal.SIGKILL
"""Exit code of a process that got no more memory: the one that containers have which the kernel ended for that."""


@dataclass(frozen=True)
class Outcome:
    """The result of cutting one slide.

    Attributes:
        file: its path below the source.
        reason: why it failed; '' if it was cut.
        crashed: True if it ended the process that cut it.
    """

    file: str
    reason: str = ""
    crashed: bool = False


def cut_in_own_process(config: IngestConfig, files: Sequence[str], store: str) -> Iterator[Outcome]:
    """Cut slides in another process, and yield what became of each.

    When that process dies, one slide was being read and the next one opened. So the first of the slides that are left
    is cut by a process alone, and is the one to blame if that dies too.

    Args:
        config: the settings.
        files: the slides, in the order of the source.
        store: location of a `SlideStore` that has none of them yet.

    Raises:
        HistoforgeError: as `SlideSource.cut` does.
    """
    left, alone = list(files), False
    while left:
        part = left[:1] if alone else left
        outcomes, status = _run(config, part, store)
        yield from outcomes
        if status not in (0, OUT_OF_MEMORY) and status > 0:
            raise RuntimeError(f"the process that cuts slides ended with the exit code {status}")
        done = part if status == 0 else [outcome.file for outcome in outcomes]
        left = [file for file in left if file not in done]
        alone = status != 0 and len(part) > 1
        if status != 0 and len(part) == 1 and left:
            yield Outcome(left.pop(0), _reason(status), crashed=True)


def _run(config: IngestConfig, files: Sequence[str], store: str) -> tuple[list[Outcome], int]:
    """Return the outcomes of a process, as far as it came, and its exit code; below 0, the signal that ended it."""
    context = get_context("spawn")
    memory = int(memory_limit() * MEMORY_SHARE)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_cut, args=(config, list(files), store, memory, sender), daemon=True)
    process.start()
    sender.close()
    outcomes: list[Outcome] = []
    try:
        while True:
            message = receiver.recv()
            if isinstance(message, HistoforgeError):
                raise message
            if isinstance(message, Outcome):
                outcomes.append(message)
            else:
                add_work(message)
    except (EOFError, ConnectionResetError):
        process.join()
    finally:
        process.terminate()
    return outcomes, process.exitcode or 0


def _cut(config: IngestConfig, files: list[str], store: str, memory: int, results: Connection) -> None:
    """Cut slides and send the outcome of each and the time of all, or the error that ends all: the process's body."""
    guard_output()
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    try:
        with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
            location = open_location(config.source)
            log = ReadLog(str(location), config.max_failed_slides, Path(temporary))
            source = open_source(config, location, location.source_entries(), log)
            assert isinstance(source, SlideSource)
            items = [item for item in source.items if item.file in files]
            for item, error in source.cut(SlideStore(open_location(store), Path(temporary)), items):
                results.send(Outcome(item.file, log.named(error) if error else ""))
        results.send(work_so_far())
    except HistoforgeError as error:
        results.send(error)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _reason(status: int) -> str:
    if status == OUT_OF_MEMORY:
        return "it needs more memory than the task has: give it more (memory_cutting)"
    name = signal.Signals(-status).name
    return f"it ended the process that cut it ({name}): replace the file, or give the task more memory (memory_cutting)"
