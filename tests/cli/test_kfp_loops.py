"""Outputs of earlier tasks reach the tasks of a loop in local runs."""

from pathlib import Path
from typing import NamedTuple

from kfp import dsl, local
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


@dsl.component(base_image="python", install_kfp_package=False)
def plan() -> NamedTuple("Plan", [("folds", list), ("names", list)]):
    return [{"fold": 0}, {"fold": 1}], [{"letter": "a"}, {"letter": "b"}]


@dsl.component(base_image="python", install_kfp_package=False)
def write(fold: int, letter: str, text: dsl.Output[dsl.Dataset]):
    from pathlib import Path

    Path(text.path).write_text(f"{int(fold)}{letter}")


@dsl.component(base_image="python", install_kfp_package=False)
def join(texts: dsl.Input[list[dsl.Dataset]], joined: dsl.Output[dsl.Dataset]):
    from pathlib import Path

    Path(joined.path).write_text(" ".join(Path(text.path).read_text() for text in texts))


@dsl.pipeline(name="loops-within-loops")
def loops_within_loops() -> NamedTuple("Outputs", [("joined", dsl.Dataset)]):
    planned = plan()
    with dsl.ParallelFor(planned.outputs["folds"]) as outer, dsl.ParallelFor(planned.outputs["names"]) as inner:
        written = write(fold=outer.fold, letter=inner.letter)
    joined = join(texts=dsl.Collected(written.outputs["text"]))
    return NamedTuple("Outputs", [("joined", dsl.Dataset)])(joined.outputs["joined"])


def test_loops_within_loops_run_as_on_a_backend(tmp_path):
    """Any output of a task is a loop's list, inner tasks see the outer item, and artifacts arrive as one list."""
    with corrected_loops():
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path), raise_on_error=True)
        pipeline = loops_within_loops()
    assert Path(pipeline.outputs["joined"].path).read_text() == "0a 0b 1a 1b"
