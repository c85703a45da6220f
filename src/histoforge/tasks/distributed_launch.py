"""Run a step on all GPUs of its task: one process per GPU, working together (see `training.processes`)."""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histoforge.core.errors import HistoforgeError
from histoforge.core.output import guard_output
from histoforge.core.progress import say
from histoforge.core.signals import INTERRUPTED, TERMINATED
from histoforge.core.timings import Phase, Work, work_so_far
from histoforge.steps.step import Step
from histoforge.tasks.usage import ProcessPeak, add_children, process_peak

PROCESSES = "HISTOFORGE_PROCESSES"
"""Environment variable: number of processes that work together; one per GPU if unset. For CPUs of several sockets."""


def run(step: Step, config: Any, paths: Mapping[str, Any]) -> Any:
    """Run a step; a distributed one uses one process per available GPU, and as many nodes as its settings say.

    If this process was started as one of several (by torchrun or Kubeflow Trainer), it joins them.

    Args:
        step: the step.
        config: its settings.
        paths: its inputs and outputs by keyword.

    Raises:
        HistoforgeError: if the user is at fault, as the step reports.
        SystemExit: on SIGTERM or Ctrl-C, once the checkpoint is written.
    """
    if not step.distributed:
        return step.run(config, **paths)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        result, *_ = _work(step, config, paths)
    elif getattr(config, "nodes", 1) > 1:
        from histoforge.tasks import several_nodes  # which imports this module

        return several_nodes.train(step, config, paths)
    elif (count := processes(config.device)) > 1:
        result = _start(count, step, config, paths)
    else:
        return step.run(config, **paths)
    if isinstance(result, HistoforgeError):
        raise result
    return result


def processes(device: str) -> int:
    """Return the number of processes of a distributed step on `device` ('auto', 'cpu', 'cuda', 'cuda:1')."""
    count = os.environ.get(PROCESSES, "")
    if count.isdigit() and int(count):
        return int(count)
    import torch

    return max(1, torch.cuda.device_count()) if device in ("auto", "cuda") else 1


def _start(count: int, step: Step, config: Any, paths: Mapping[str, Any]) -> Any:
    """Return the result of the first of `count` processes."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    say(f"{step.name}: {count} processes work together")
    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        max_restarts=0,
        start_method="spawn",
        run_id=f"{step.name}-{os.getpid()}",
    )
    try:
        outcomes = elastic_launch(launch, _work)(step, config, dict(paths))
        add_children((peak, work) for _, peak, work in outcomes.values())
        return outcomes[0][0]
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None
    except ChildFailedError as error:
        for code in {TERMINATED, INTERRUPTED}.intersection(failure.exitcode for failure in error.failures.values()):
            raise SystemExit(code) from None
        raise


def _work(step: Step, config: Any, paths: Mapping[str, Any]) -> tuple[Any, ProcessPeak, dict[Phase, Work]]:
    """Run one process of several, and return its result, its peak memory and its work.

    Only the first process writes to the given paths and prints.
    """
    import torch

    guard_output()
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    with tempfile.TemporaryDirectory() as scratch:
        if int(os.environ["RANK"]):
            outputs = {port.name for port in step.outputs}
            sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
            paths = {name: Path(scratch) / name if name in outputs else path for name, path in paths.items()}
        try:
            return step.run(config, **paths), process_peak(), work_so_far()
        except HistoforgeError as error:
            return error, process_peak(), work_so_far()
