"""Outputs of earlier tasks reach the tasks of a loop in local runs."""

from kfp.local.orchestrator import task_spec_utils
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineTaskSpec

from histoforge.cli.run.kfp_loops import corrected_loops


def loop_over_cells_of_a_task():
    spec = PipelineTaskSpec()
    spec.parameter_iterator.items.input_parameter = "cells"
    spec.parameter_iterator.item_input = "cells-loop-item"
    for name in ("cells", "overrides"):
        spec.inputs.parameters[name].task_output_parameter.producer_task = "scan-source"
        spec.inputs.parameters[name].task_output_parameter.output_parameter_key = name
    spec.inputs.parameters["seed"].component_input_parameter = "seed"
    spec.inputs.parameters["folds-loop-item"].component_input_parameter = "folds-loop-item"
    return spec


def test_a_returned_parameter_is_not_replaced_by_the_item_of_the_loop():
    plain = task_spec_utils.create_parameter_loop_iteration_task_spec
    with corrected_loops():
        task_spec = task_spec_utils.create_parameter_loop_iteration_task_spec(
            loop_over_cells_of_a_task(), {"a": 1}, "for-1"
        )
    inputs = task_spec.inputs.parameters
    assert inputs["overrides"].task_output_parameter.output_parameter_key == "overrides"
    assert inputs["cells-loop-item"].runtime_value.constant.struct_value["a"] == 1
    assert inputs["seed"].component_input_parameter == "seed"
    assert inputs["folds-loop-item"].component_input_parameter == "folds-loop-item", "the item of an outer loop"
    assert task_spec_utils.create_parameter_loop_iteration_task_spec is plain
