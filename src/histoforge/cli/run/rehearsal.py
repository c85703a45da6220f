"""A rehearsal of a pipeline: its plans are made, and its loops and tasks follow from them, but no step is run."""

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from importlib import import_module
from pathlib import Path
from typing import Any

from histoforge.cli.run.kfp_loops import corrected_loops
from histoforge.core.errors import SettingsError
from histoforge.core.settings import StepConfig
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS
from histoforge.tasks.pipeline_plan import Task, component_of, in_order
from histoforge.tasks.plan_benchmark import plan_classes

REPORTS = ("metrics", "summary")
"""Artifacts that tasks write for the UI."""


def rehearse(spec: Any, arguments: Mapping[str, Any], classes: Sequence[str]) -> list[Task]:
    """Return the tasks that a run of a pipeline would have, in the order of the pipeline.

    Args:
        spec: the compiled pipeline (`pipeline_spec`).
        arguments: its parameters.
        classes: class names of its patches.

    Raises:
        SettingsError: a task that plans others refuses the parameters.
    """
    runs: dict[str, list[tuple[str, StepConfig | None]]] = {}
    refused: list[Exception] = []

    def run_task(task_name: str, task_spec: Any, components: Any, io_store: Any, **_: Any) -> Any:
        from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils
        from kfp.local.status import Status

        try:
            component = component_of(task_spec)
            given = OrchestratorUtils.make_task_arguments(task_inputs_spec=task_spec.inputs, io_store=io_store)
            outputs: dict[str, Any] = dict.fromkeys(
                components[task_spec.component_ref.name].output_definitions.artifacts
            )
            runs.setdefault(task_name, []).append(_step_of(component, given))
            return outputs | _planned(component, given, classes), Status.SUCCESS
        except Exception as error:  # which a loop would log and drop
            refused.append(error)
            return {}, Status.FAILURE

    with corrected_loops(), _tasks_run_by(run_task), redirect_stderr(io.StringIO()) as log:
        from kfp.local.orchestrator.enhanced_dag_orchestrator import run_enhanced_dag

        try:
            run_enhanced_dag(
                pipeline_resource_name=spec.pipeline_info.name,
                dag_component_spec=spec.root,
                executors={},
                components=dict(spec.components),
                dag_arguments=dict(arguments),
                pipeline_root="",
                runner=None,
                unique_pipeline_id="",
                fail_stack=[],
            )
        except SystemExit:
            raise SettingsError(log.getvalue().strip().rpartition("\n")[2]) from None
    if refused:
        raise refused[0]
    return [task for name, title in in_order(spec) for task in _rows(title, runs.get(name, []))]


@contextmanager
def _tasks_run_by(run_task: Callable[..., Any]) -> Iterator[None]:
    """Let kfp's local runner call a function for each task in the block, in place of the task."""
    from kfp.local.orchestrator import task_executor

    execute = task_executor.execute_single_task
    task_executor.execute_single_task = run_task
    try:
        yield
    finally:
        task_executor.execute_single_task = execute


def _step_of(component: str, given: Mapping[str, Any]) -> tuple[str, StepConfig | None]:
    """Return the name and the settings of the step that a task runs; '' and None if it runs none."""
    step = STEPS.get(given["step"] if component == "enter_generator" else component)
    if step is None:
        return "", None
    own = {name: value for name, value in given.items() if name in step.config_class.model_fields}
    return step.name, step_config(step, given.get("preset", ""), given.get("overrides", {}), own)


def _planned(component: str, given: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """Return the outputs of a task that plans others; none for the others."""
    if component == "plan_classes":
        return {"Output": plan_classes(given, classes, given["preset"], given["overrides"])}
    if component != "scan_source" and not component.startswith("plan_"):
        return {}
    from kfp import dsl

    function = getattr(import_module(f"histoforge_components.{component}.component"), component).python_func
    kinds = function.__annotations__
    values = {name: int(value) if kinds[name] is int else value for name, value in given.items()}
    with tempfile.TemporaryDirectory() as folder:
        reports = {name: dsl.Metrics(uri=str(Path(folder) / name)) for name in REPORTS if name in kinds}
        result = function(**values, **reports)
    names = getattr(kinds["return"], "_fields", ())
    return dict(zip(names, result, strict=True)) if names else {"Output": result}


def _rows(title: str, runs: Sequence[tuple[str, StepConfig | None]]) -> list[Task]:
    """Return the runs of a task as one row, or if it runs several steps or methods, as one row for each."""
    alike: dict[tuple[str, str], list[StepConfig | None]] = {}
    for step, config in runs:
        alike.setdefault((step, getattr(config, "method", "")), []).append(config)
    return [
        Task(f"{title}: {method or step}" if len(alike) > 1 else title, step, len(configs), configs[0])
        for (step, method), configs in alike.items()
    ]
