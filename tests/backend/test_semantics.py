"""Parameters, artifacts, loops, conditions and failures on a backend, shown by components that need only kfp."""

import json
from typing import Optional

import pytest
from backend.driver import condition_holds
from backend.launcher import TaskFailed
from backend.metadata import BackendError
from backend.toys import count, decide, fail, join, log, look, make, plan, plan_parts, show
from kfp import dsl


def outcome(run, prefix):
    """The outputs of the tasks whose name begins so, in their order."""
    return [execution.outputs.get("Output") for execution in run.store.executions if execution.task.startswith(prefix)]


def test_whole_numbers_come_as_integers_whatever_their_type(run):
    @dsl.pipeline(name="numbers")
    def numbers(number: float = 2.0, table: dict = {"n": 3, "x": 0.1}):  # noqa: B006 - kfp reads it
        show(text="a", number=number, table=table)

    assert outcome(run(numbers), "show") == [json.dumps(["a", 2, 3, False, {"n": 3, "x": 0.1}, [1, 2.5]])]


def test_items_of_a_loop_and_what_is_collected_of_it(run):
    @dsl.pipeline(name="loops")
    def loops():
        with dsl.ParallelFor(plan().output) as item:
            making = make(name=item.title, size=item.size)
        join(models=dsl.Collected(making.outputs["model"]))

    assert outcome(run(loops), "join") == ["a 1 int; b 2.5 float"]


def test_an_inner_loop_is_collected_inside_the_outer_and_flat_outside(run):
    @dsl.pipeline(name="nested")
    def nested():
        with dsl.ParallelFor(["a", "b"]) as name:
            with dsl.ParallelFor(plan_parts(name=name).output) as item:
                making = make(name=item)
            join(models=dsl.Collected(making.outputs["model"]))
        join(models=dsl.Collected(making.outputs["model"]))

    assert sorted(outcome(run(nested), "join")) == [
        "a0 1 int; a1 1 int",
        "a0 1 int; a1 1 int; b0 1 int; b1 1 int",
        "b0 1 int; b1 1 int",
    ]


def test_metadata_come_back_as_the_store_keeps_them(run):
    @dsl.pipeline(name="metadata")
    def metadata():
        look(model=make().outputs["model"])

    (seen,) = map(json.loads, outcome(run(metadata), "look"))
    assert seen.pop("store_session_info")
    assert seen == {
        "about": {"struct": {"n": 3}},
        "display_name": "model",
        "good": 1,
        "name": "x",
        "sizes": {"list": [1, 2]},
    }


@pytest.mark.parametrize("value", ["nan", "inf", "null"])
def test_metadata_that_the_store_cannot_hold_fail_the_task_after_its_end(run, value):
    @dsl.pipeline(name="metadata")
    def metadata(value: str):
        log(value=value)

    with pytest.raises(TaskFailed) as failed:
        run(metadata, {"value": value})
    assert failed.value.status == 0


def test_a_condition_skips_a_branch_and_what_comes_after_it(run):
    @dsl.pipeline(name="branches")
    def branches(answer: bool):
        decision = decide(answer=answer)
        with dsl.If(decision.outputs["go"] == True):  # noqa: E712 - kfp records the comparison
            show(text="went")
        with dsl.If(decision.outputs["count"] > 2):
            show(text="never")

    assert [json.loads(text)[0] for text in outcome(run(branches, {"answer": True}), "show")] == ["went"]


def test_a_branch_that_is_not_taken_runs_nothing(run):
    @dsl.pipeline(name="branches")
    def branches(answer: bool):
        with dsl.If(decide(answer=answer).outputs["go"] == True):  # noqa: E712 - kfp records the comparison
            show(text="went")

    assert outcome(run(branches, {"answer": False}), "show") == []


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("inputs.parameter_values['n'] == 2", True),
        ("int(inputs.parameter_values['n']) >= 3", False),
        ("!(inputs.parameter_values['n'] == 2) && inputs.parameter_values['s'] == 'a'", False),
        ("inputs.parameter_values['s'] != 'b' || inputs.parameter_values['go'] == true", True),
    ],
)
def test_conditions_are_those_of_kfps_compiler(condition, holds):
    assert condition_holds(condition, {"n": 2.0, "s": "a", "go": False}) is holds


def test_a_condition_that_is_not_understood_is_an_error():
    with pytest.raises(BackendError, match="is not one that these tests can evaluate"):
        condition_holds("[x for x in inputs.parameter_values]", {})


def test_an_optional_artifact_of_a_task_may_be_left_out_and_that_of_a_nested_pipeline_may_not(run, compiled):
    @dsl.pipeline(name="inner")
    def inner(model: dsl.Input[dsl.Model] = None):
        look(model=model)

    @dsl.pipeline(name="outer")
    def outer():
        inner()

    @dsl.pipeline(name="flat")
    def flat():
        look()

    with pytest.raises(BackendError, match="parent DAG does not have input artifact model"):
        run(outer)
    assert outcome(run(flat), "look") == ["nothing"]


@pytest.mark.parametrize(("arguments", "text"), [({}, "None"), ({"number": 0}, "0")])
def test_an_optional_parameter_without_a_default_reaches_a_task_and_a_nested_pipeline_as_none(run, arguments, text):
    @dsl.pipeline(name="inner")
    def inner(number: Optional[int] = None):  # noqa: UP045 - kfp reads it
        count(number=number)

    @dsl.pipeline(name="outer")
    def outer(number: Optional[int] = None):  # noqa: UP045 - kfp reads it
        inner()
        count(number=number)

    assert sorted(outcome(run(outer, arguments), "count")) == sorted([text, "None"])


@pytest.mark.parametrize("group", ["loop", "condition"])
def test_in_a_loop_or_condition_it_fails_so_minus_one_marks_a_seed_that_is_not_given(run, group):
    """kfp's compiler declares no input of a loop or condition as optional; kfp's local runner fails everywhere."""

    @dsl.pipeline(name="grouped")
    def grouped(number: Optional[int] = None):  # noqa: UP045 - kfp reads it
        answer = decide(answer=True).outputs["go"]
        with dsl.ParallelFor([1, 2]) if group == "loop" else dsl.If(answer == True):  # noqa: E712 - kfp records the comparison
            count(number=number)

    with pytest.raises(BackendError, match="the resolved input parameter is null"):
        run(grouped)


def test_of_a_list_of_artifacts_a_nested_pipeline_gets_the_last(run):

    @dsl.pipeline(name="inner")
    def inner(models: dsl.Input[list[dsl.Model]]):
        join(models=models)

    @dsl.pipeline(name="outer")
    def outer():
        with dsl.ParallelFor(["a", "b"]) as name:
            making = make(name=name)
        inner(models=dsl.Collected(making.outputs["model"]))

    assert outcome(run(outer), "join") == ["b 1 int"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"whole": "3"}, "requires type NUMBER_INTEGER"),
        ({}, "is not optional"),
        ({"whole": 3, "other": 1}, "are not required by pipeline: other"),
    ],
)
def test_arguments_of_a_run_are_checked(run, arguments, reason):
    @dsl.pipeline(name="checked")
    def checked(whole: int):
        show(whole=whole)

    with pytest.raises(BackendError, match=reason):
        run(checked, arguments)


def failing(tmp_path, retries):
    @dsl.pipeline(name="failing")
    def pipeline(times: int):
        task = fail(marks=str(tmp_path / "marks"), times=times)
        task.set_retry(retries)
        show().after(task)

    return pipeline


def test_an_exit_status_is_no_reason_for_a_retry_as_kfp_ships_argo(run, tmp_path):
    with pytest.raises(TaskFailed) as failed:
        run(failing(tmp_path, 2), {"times": 1})
    assert (failed.value.status, (tmp_path / "marks").read_text()) == (2, "x")
    assert failed.value.log.strip().splitlines()[-1] == "The slide 'a.svs' has no resolution: give slide_mpp."


def test_it_is_one_where_the_policy_says_always(run, tmp_path):
    finished = run(failing(tmp_path, 2), {"times": 2}, retry_policy="Always")
    assert [attempt.status for attempt in finished.launcher.attempts] == [2, 2, 0, 0]
    assert outcome(finished, "fail") == [2.0]
    logs = sorted(path.name for path in finished.launcher.objects.rglob("executor-logs-*") if "/failing/" in str(path))
    assert {"executor-logs-0", "executor-logs-1", "executor-logs-2"} <= set(logs)


def test_retries_run_out(run, tmp_path):
    with pytest.raises(TaskFailed):
        run(failing(tmp_path, 1), {"times": 9}, retry_policy="Always")
    assert (tmp_path / "marks").read_text() == "xx"
