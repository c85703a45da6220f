"""Correct how kfp's local runner passes results of an earlier task to the tasks of a loop.

`kfp.local.orchestrator.task_spec_utils.create_parameter_loop_iteration_task_spec` of kfp 2.17 replaces every parameter
that another task returned with the item of the loop, not only the list that it loops over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def corrected_loops() -> Iterator[None]:
    """Let pipelines that run in the block pass returned parameters on to the tasks of their loops."""
    from kfp.local.orchestrator import task_spec_utils

    plain = task_spec_utils.create_parameter_loop_iteration_task_spec

    def corrected(original_task_spec: Any, loop_item: Any, loop_task_name: str) -> Any:
        spec = plain(original_task_spec, loop_item, loop_task_name)
        items = original_task_spec.parameter_iterator.items.input_parameter
        for name, given in original_task_spec.inputs.parameters.items():
            if given.HasField("task_output_parameter") and name != items:
                spec.inputs.parameters[name].CopyFrom(given)
        return spec

    task_spec_utils.create_parameter_loop_iteration_task_spec = corrected
    try:
        yield
    finally:
        task_spec_utils.create_parameter_loop_iteration_task_spec = plain
