"""The process of a task: its log, its usage, and its end with one sentence for the user."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from histoforge.core.errors import EXIT_CODE, HistoforgeError, explain_os_error
from histoforge.core.output import guard_output
from histoforge.core.progress import say
from histoforge.core.signals import INTERRUPTED, TERMINATED
from histoforge.tasks.task_log import start_task_log
from histoforge.tasks.usage import Meter


@contextmanager
def task_process(label: str) -> Iterator[Meter]:
    """End a task with one sentence if the user is at fault, and with a traceback only for a bug.

    Yields a meter of its time and memory, which are printed when it succeeds.
    """
    guard_output()
    log = start_task_log(label)
    meter = Meter()
    try:
        yield meter
        usage = meter.read()
        log.write_usage(usage.model_dump_json()) if log else say(f"done in {usage.sentence()}")
    except (HistoforgeError, OSError) as error:
        sentence = explain_os_error(error) if isinstance(error, OSError) else str(error)
        if not sentence:
            raise
        log.write_error(sentence) if log else say(sentence)
        sys.stdout.flush()
        sys.exit(EXIT_CODE)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
    except SystemExit as stop:
        if log and stop.code in (TERMINATED, INTERRUPTED):
            log.write_error(f"{label} was stopped: run the same command again to continue.")
        raise
