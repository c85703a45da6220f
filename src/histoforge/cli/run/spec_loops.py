"""The loops of a compiled pipeline over the outputs of `scan_source`."""

from typing import Any


def loops_over(spec: Any, output: str) -> list[Any]:
    """Return the loops over an output of `scan_source`."""
    dags = [component.dag for component in [spec.root, *spec.components.values()]]
    return [task for dag in dags for task in dag.tasks.values() if _is_loop_over(task, output)]


def _is_loop_over(task: Any, output: str) -> bool:
    return str(task.parameter_iterator.items.input_parameter).endswith(f"scan-source-{output}")


def remove_loops_over(spec: Any, output: str) -> None:
    """Remove the loops over an output of `scan_source`, and the inputs that other tasks collect from them."""
    for component in [spec.root, *spec.components.values()]:
        tasks = component.dag.tasks
        loops = {name for name, task in tasks.items() if _is_loop_over(task, output)}
        for name in loops:
            spec.components[tasks[name].component_ref.name].Clear()
            del tasks[name]
        for task in tasks.values():
            dependent = [name for name in task.dependent_tasks if name not in loops]
            task.ClearField("dependent_tasks")
            task.dependent_tasks.extend(dependent)
            for name, given in list(task.inputs.artifacts.items()):
                if given.task_output_artifact.producer_task in loops:
                    del task.inputs.artifacts[name]
