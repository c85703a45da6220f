"""Correct how kfp's local runner passes results into loops and out of them, as of kfp 2.17.

- `kfp.local.orchestrator.task_spec_utils.create_parameter_loop_iteration_task_spec` replaces every parameter that
  another task returned with the item of the loop, not only the list that it loops over, and the item of an outer
  loop with that of the inner one.
- `kfp.local.orchestrator.enhanced_dag_orchestrator._run_parallel_for_task` finds the list of a loop only if it is the
  output 'Output' of its task.
- What is collected from a loop within a loop arrives as a list of lists, whereas a backend passes one list.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def corrected_loops() -> Iterator[None]:
    """Let pipelines that run in the block loop as a backend does."""
    from kfp.local.orchestrator import enhanced_dag_orchestrator, task_spec_utils

    create_task_spec = task_spec_utils.create_parameter_loop_iteration_task_spec
    plain_run = enhanced_dag_orchestrator._run_parallel_for_task

    def corrected(original_task_spec: Any, loop_item: Any, loop_task_name: str) -> Any:
        spec = create_task_spec(original_task_spec, loop_item, loop_task_name)
        iterator = original_task_spec.parameter_iterator
        for name, given in original_task_spec.inputs.parameters.items():
            of_task = given.HasField("task_output_parameter") and name != iterator.items.input_parameter
            of_outer_loop = given.component_input_parameter not in ("", iterator.item_input)
            if of_task or of_outer_loop:
                spec.inputs.parameters[name].CopyFrom(given)
        return spec

    def corrected_run(*, task_name: str, task_spec: Any, components: Any, io_store: Any, **options: Any) -> bool:
        _resolve_items(task_spec, io_store)
        failed = plain_run(
            task_name=task_name, task_spec=task_spec, components=components, io_store=io_store, **options
        )
        if not failed:
            _flatten(task_name, components[task_spec.component_ref.name], io_store)
        return bool(failed)

    task_spec_utils.create_parameter_loop_iteration_task_spec = corrected
    enhanced_dag_orchestrator._run_parallel_for_task = corrected_run
    try:
        yield
    finally:
        task_spec_utils.create_parameter_loop_iteration_task_spec = create_task_spec
        enhanced_dag_orchestrator._run_parallel_for_task = plain_run


def _resolve_items(task_spec: Any, io_store: Any) -> None:
    """Put the list of a loop where kfp looks for it, if it is any output of a task."""
    items = task_spec.parameter_iterator.items.input_parameter
    given = task_spec.inputs.parameters.get(items)
    if given is not None and given.HasField("task_output_parameter"):
        output = given.task_output_parameter
        io_store.put_parent_input(items, io_store.get_task_output(output.producer_task, output.output_parameter_key))


def _flatten(task_name: str, component: Any, io_store: Any) -> None:
    """Make one list of each artifact that was collected in an inner loop too."""
    for name in component.output_definitions.artifacts:
        try:
            collected = io_store.get_task_output(task_name, name)
        except ValueError:
            continue
        if any(isinstance(item, list) for item in collected):
            flat = [artifact for item in collected for artifact in (item if isinstance(item, list) else [item])]
            io_store.put_task_output(task_name, name, flat)
