"""Deleting and replacing a recurring run with an active run, which Kubernetes would delete with it."""

import signal

import pytest
from command_line import call
from tiny_pipeline import write_pipeline, write_schedules


@pytest.fixture
def scheduled(kubeflow, capsys, tmp_path):
    """Return a double with the schedule `weekly` and an active run of it."""
    assert call(capsys, "pipelines", "upload", write_pipeline(tmp_path)).code == 0
    assert call(capsys, "schedule", "apply", write_schedules(tmp_path)).code == 0
    (recurring,) = kubeflow.recurring_runs
    kubeflow.fire(recurring)
    return kubeflow


@pytest.fixture
def changed(tmp_path):
    """Return a function that writes the same schedule with another parameter, which requires a replacement."""
    return lambda: write_schedules(tmp_path, "rounds: 3", "rounds: 4")


def states(kubeflow):
    return [run["state"] for run in kubeflow.runs.values()]


def test_the_double_loses_the_run_of_a_recurring_run_that_is_deleted_as_kubeflow_does(scheduled):
    (recurring,) = scheduled.recurring_runs
    scheduled.delete_recurring_run({}, b"", recurring)
    (run,) = scheduled.runs
    scheduled.endless.clear()
    for _ in range(5):
        assert scheduled.get_run({}, b"", run)["state"] == "RUNNING"


def test_delete_refuses_while_a_run_is_in_progress_and_leaves_everything(scheduled, capsys):
    before = scheduled.changes()
    done = call(capsys, "schedule", "delete", "weekly")
    assert done.code == 2
    assert "a run of 'weekly' is active" in done.err
    assert "--wait" in done.err
    assert "--now" in done.err
    assert next(iter(scheduled.runs)) in done.err
    assert len(done.err.splitlines()) == 1
    assert scheduled.changes() == before


def test_delete_now_terminates_the_active_run_before_deleting_the_schedule(scheduled, capsys):
    done = call(capsys, "schedule", "delete", "weekly", "--now", "--every", "0")
    assert (done.code, scheduled.recurring_runs) == (0, {}), done.err
    assert states(scheduled) == ["FAILED"]
    assert scheduled.lost == set()
    verbs = [request.rpartition("/")[2] for request in scheduled.changes()]
    assert [verb.rpartition(":")[2] for verb in verbs[-3:-1]] == ["disable", "terminate"]


def test_delete_waits_for_the_run_with_the_schedule_paused(scheduled, capsys):
    looks = []

    def look():
        looks.extend(recurring["status"] for recurring in scheduled.recurring_runs.values())
        if len(looks) == 4:
            scheduled.endless.clear()

    scheduled.before["run_service_list_runs"] = look
    done = call(capsys, "schedule", "delete", "weekly", "--wait", "--every", "0")
    assert (done.code, scheduled.recurring_runs) == (0, {}), done.err
    assert states(scheduled) == ["SUCCEEDED"]
    assert len(looks) > 4
    assert set(looks[1:]) == {"DISABLED"}


def test_a_run_that_starts_between_the_look_and_the_pause_is_seen(scheduled, capsys):
    (first,), (recurring,) = scheduled.runs, scheduled.recurring_runs
    scheduled.runs[first]["state"] = "SUCCEEDED"
    scheduled.before["recurring_run_service_disable_recurring_run"] = lambda: scheduled.fire(recurring)
    done = call(capsys, "schedule", "delete", "weekly")
    assert (done.code, "is active" in done.err) == (2, True), done.out
    assert scheduled.recurring_runs[recurring]["status"] == "ENABLED"
    assert states(scheduled) == ["SUCCEEDED", "RUNNING"]


def test_a_schedule_that_is_refused_stays_paused_if_it_was(scheduled, capsys):
    (recurring,) = scheduled.recurring_runs.values()
    recurring["status"] = "DISABLED"
    assert call(capsys, "schedule", "delete", "weekly").code == 2
    assert recurring["status"] == "DISABLED"


def test_apply_refuses_to_replace_before_it_changes_anything(scheduled, capsys, changed):
    file = changed()
    text = file.read_text()
    block = text[text.index("  - name") :]
    file.write_text(text.replace(block, block.replace("weekly", "another") + block))
    before = scheduled.changes()
    done = call(capsys, "schedule", "apply", file)
    assert (done.code, "a run of 'weekly' is active" in done.err) == (2, True), done.err
    assert scheduled.changes() == before


@pytest.mark.parametrize(("flag", "state"), [("--now", "FAILED"), ("--wait", "SUCCEEDED")])
def test_apply_replaces_once_the_run_has_ended(scheduled, capsys, changed, flag, state):
    (old,) = scheduled.recurring_runs
    if flag == "--wait":
        scheduled.endless.clear()
    done = call(capsys, "schedule", "apply", changed(), flag, "--every", "0")
    assert done.code == 0, done.err
    (new,) = scheduled.recurring_runs.values()
    assert new["recurring_run_id"] != old
    assert (new["status"], new["runtime_config"]["parameters"]["rounds"]) == ("ENABLED", 4)
    assert states(scheduled) == [state]
    assert scheduled.lost == set()


def test_prune_refuses_too(scheduled, capsys, tmp_path):
    (tmp_path / "none.yaml").write_text("schedules: []\n")
    done = call(capsys, "schedule", "apply", tmp_path / "none.yaml", "--prune")
    assert (done.code, "a run of 'weekly' is active" in done.err) == (2, True)
    assert len(scheduled.recurring_runs) == 1
    assert call(capsys, "schedule", "apply", tmp_path / "none.yaml", "--prune", "--now", "--every", "0").code == 0
    assert (scheduled.recurring_runs, states(scheduled)) == ({}, ["FAILED"])


def test_apply_that_changes_nothing_does_not_look_at_runs(scheduled, capsys, tmp_path):
    assert call(capsys, "schedule", "apply", write_schedules(tmp_path)).code == 0
    assert not [request for request in scheduled.asked if request == "GET /apis/v2beta1/runs"]


def test_a_run_whose_workflow_is_gone_does_not_hold_up_now(scheduled, capsys):
    scheduled.lost |= set(scheduled.runs)
    done = call(capsys, "schedule", "delete", "weekly", "--now", "--every", "0")
    assert (done.code, scheduled.recurring_runs) == (0, {}), done.err
    assert "could not be terminated" in done.err


def test_a_run_that_starts_as_its_schedule_goes_is_left_to_end(scheduled, capsys):
    """The last check and the deletion are two requests: a run that starts in between is not deleted."""
    (run,), (recurring,) = scheduled.runs, scheduled.recurring_runs
    scheduled.runs[run]["state"] = "SUCCEEDED"
    scheduled.before["recurring_run_service_delete_recurring_run"] = lambda: scheduled.fire(recurring)
    assert call(capsys, "schedule", "delete", "weekly").code == 0
    assert scheduled.recurring_runs == {}
    assert states(scheduled) == ["SUCCEEDED", "RUNNING"]
    assert scheduled.lost == set()


def test_wait_and_now_exclude_each_other(scheduled, capsys):
    done = call(capsys, "schedule", "delete", "weekly", "--wait", "--now")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert scheduled.lost == set()


@pytest.fixture
def default_signals():
    """Set the handlers of a process in the foreground: one in the background ignores SIGINT."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("default_signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_wait_that_is_stopped_resumes_the_schedule(scheduled, capsys, monkeypatch, name):
    monkeypatch.setattr("time.sleep", lambda _: signal.raise_signal(getattr(signal, name)))
    done = call(capsys, "schedule", "delete", "weekly", "--wait")
    (recurring,) = scheduled.recurring_runs.values()
    assert (done.code, recurring["status"], states(scheduled)) == (130, "ENABLED", ["RUNNING"])
