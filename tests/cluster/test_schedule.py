"""`histoforge schedule`: recurring runs become what a file declares, and a second `apply` changes nothing."""

import json

import pytest
from command_line import call
from tiny_pipeline import in_kubernetes, write_pipeline, write_schedules

from histoforge.cluster.cron import check_cron
from histoforge.cluster.schedules import read_schedules
from histoforge.core.errors import SettingsError


@pytest.fixture
def uploaded(kubeflow, capsys, tmp_path):
    assert call(capsys, "pipelines", "upload", write_pipeline(tmp_path)).code == 0
    return kubeflow


def test_apply_creates_declared_runs_and_a_second_apply_changes_nothing(uploaded, capsys, tmp_path):
    file = write_schedules(tmp_path)
    result = call(capsys, "schedule", "diff", file)
    assert (result.code, result.out) == (1, "+ weekly: create (does not exist)\n"), result.err
    assert uploaded.recurring_runs == {}
    assert call(capsys, "schedule", "apply", file).code == 0
    (run,) = uploaded.recurring_runs.values()
    assert run["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * SUN"
    assert (run["no_catchup"], run["max_concurrency"], run["status"]) == (True, "1", "ENABLED")
    assert run["runtime_config"]["parameters"]["overrides"] == {"train_generator.epochs": 5.0}
    assert run["runtime_config"]["parameters"]["gpu_count"] == "0"
    changes = uploaded.changes()
    assert call(capsys, "schedule", "apply", file).out == "  weekly: nothing (as declared)\n"
    assert call(capsys, "schedule", "diff", file).code == 0
    assert uploaded.changes() == changes
    assert uploaded.refused == []


def test_a_change_replaces_the_run_and_names_the_difference(uploaded, capsys, tmp_path):
    call(capsys, "schedule", "apply", write_schedules(tmp_path))
    (old,) = uploaded.recurring_runs
    result = call(capsys, "schedule", "apply", write_schedules(tmp_path, "rounds: 3", "rounds: 4"))
    assert result.code == 0
    assert result.out == "~ weekly: replace (parameters.rounds: 3 → 4)\n"
    (new,) = uploaded.recurring_runs
    assert new != old


def test_diff_shows_the_changed_fields_alone_however_long_the_rest_is(uploaded, capsys, tmp_path):
    many = ", ".join(f'"train_generator.parameter_{number}": {number}' for number in range(40))
    path = write_schedules(tmp_path)
    call(capsys, "schedule", "apply", path)
    (run,) = uploaded.recurring_runs.values()
    run["runtime_config"]["parameters"]["overrides"].update(json.loads("{" + many + "}"))
    run["runtime_config"]["parameters"]["overrides"].update({"train_generator.epochs": 6.0})
    run["max_concurrency"] = "2"
    result = call(capsys, "schedule", "diff", path)
    assert result.code == 1
    assert "parameters.overrides.train_generator.epochs: 6 → 5" in result.out
    assert "at_once: 2 → 1" in result.out
    assert "s3://b/slides" not in result.out


def test_pause_apply_and_delete(uploaded, capsys, tmp_path):
    file = write_schedules(tmp_path)
    call(capsys, "schedule", "apply", file)
    assert call(capsys, "schedule", "pause", "weekly").code == 0
    (run,) = uploaded.recurring_runs.values()
    assert run["status"] == "DISABLED"
    assert call(capsys, "schedule", "diff", file).out == "~ weekly: resume (paused on the cluster)\n"
    paused = write_schedules(tmp_path, "name: weekly", "name: weekly\n    enabled: false")
    assert call(capsys, "schedule", "diff", paused).code == 0
    call(capsys, "schedule", "apply", write_schedules(tmp_path))
    assert run["status"] == "ENABLED"
    assert call(capsys, "schedule", "delete", "weekly").code == 0
    assert uploaded.recurring_runs == {}
    again = call(capsys, "schedule", "delete", "weekly")
    assert (again.code, "histoforge has created no recurring run 'weekly'" in again.err) == (2, True)


def test_undeclared_runs_are_named_and_deleted_only_with_prune(uploaded, capsys, tmp_path):
    call(capsys, "schedule", "apply", write_schedules(tmp_path))
    empty = tmp_path / "none.yaml"
    empty.write_text("schedules: []\n")
    assert call(capsys, "schedule", "apply", empty).out == "- weekly: undeclared (no longer declared)\n"
    assert len(uploaded.recurring_runs) == 1
    call(capsys, "schedule", "apply", empty, "--prune")
    assert uploaded.recurring_runs == {}


def test_apply_repairs_an_apply_that_stopped_between_creating_and_deleting(uploaded, capsys, tmp_path):
    file = write_schedules(tmp_path)
    call(capsys, "schedule", "apply", file)
    (run,) = uploaded.recurring_runs.values()
    uploaded.recurring_runs["recurring-99"] = {**run, "recurring_run_id": "recurring-99"}
    assert call(capsys, "schedule", "apply", file).code == 0
    assert list(uploaded.recurring_runs) == [run["recurring_run_id"]]


def test_a_recurring_run_that_is_not_ours_is_left_alone(uploaded, capsys, tmp_path):
    file = write_schedules(tmp_path)
    call(capsys, "schedule", "apply", file)
    (run,) = uploaded.recurring_runs.values()
    run["description"] = "made by hand"
    result = call(capsys, "schedule", "apply", file)
    assert (result.code, "that histoforge did not create" in result.err) == (2, True)
    assert call(capsys, "schedule", "delete", "weekly").code == 2
    assert len(uploaded.recurring_runs) == 1


def test_with_profiles_everything_is_in_the_namespace_of_the_environment(kubeflow, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("KFP_NAMESPACE", "pathology")
    call(capsys, "pipelines", "upload", write_pipeline(tmp_path))
    file = write_schedules(tmp_path)
    assert call(capsys, "schedule", "apply", file).code == 0
    assert call(capsys, "schedule", "diff", file).code == 0
    everything = [*kubeflow.pipelines.values(), *kubeflow.experiments.values()]
    assert {item["namespace"] for item in everything} == {"pathology"}
    monkeypatch.setenv("KFP_NAMESPACE", "another")
    assert "no pipeline 'tiny'" in call(capsys, "schedule", "diff", file).err


def test_more_recurring_runs_than_fit_on_a_page(uploaded, capsys, tmp_path):
    file = write_schedules(tmp_path)
    text = file.read_text()
    block = text[text.index("  - name") :]
    file.write_text(text + "".join(block.replace("weekly", f"weekly-{number}") for number in range(4)))
    call(capsys, "schedule", "apply", file)
    assert len(uploaded.recurring_runs) == 5
    assert call(capsys, "schedule", "diff", file).code == 0


WRONG = {
    ('"0 0 3 * * SUN"', '"0 3 * * SUN"'): "has 5 fields, but Kubeflow requires six",
    ('"0 0 3 * * SUN"', '"0 0 25 * * SUN"'): "'25' as its hour",
    ("pipeline: PIPELINE", "pipeline: selective-augmentatoin"): "did you mean 'selective-augmentation'?",
    ("profile: small", "profile: smal"): "did you mean 'small'?",
    ("rounds: 3", "round: 3"): "no parameter 'round'",
    ("rounds: 3", "password: x"): "no parameter 'password'",
    ("rounds: 3", "gpu_count: '64'"): "64 GPUs",
    ("    cron:", "    every: week\n    cron:"): "schedule has no parameter 'every'",
    ("schedules:", "plans:"): "declares no schedules",
}


@pytest.mark.parametrize(("old", "new"), WRONG, ids=lambda text: text[:20])
def test_invalid_input_is_one_sentence_before_any_request(kubeflow, capsys, tmp_path, old, new):
    result = call(capsys, "schedule", "apply", write_schedules(tmp_path, old, new))
    assert result.code == 2
    assert WRONG[old, new] in result.err, result.err
    assert len(result.err.splitlines()) == 1
    assert kubeflow.asked == []


def test_a_schedule_for_a_pipeline_that_is_not_there_changes_nothing(kubeflow, capsys, tmp_path):
    result = call(capsys, "schedule", "apply", write_schedules(tmp_path))
    assert (result.code, "run 'histoforge pipelines upload" in result.err) == (2, True)
    assert kubeflow.changes() == []


def test_a_schedule_whose_queue_is_not_there_changes_nothing(uploaded, capsys, tmp_path, monkeypatch):
    in_kubernetes(uploaded, tmp_path, monkeypatch)
    (tmp_path / "mine.yaml").write_text("gpu_count: 0\nqueue: gpu\n")
    before = uploaded.changes()
    result = call(
        capsys, "schedule", "apply", write_schedules(tmp_path, "profile: small", f"profile: {tmp_path}/mine.yaml")
    )
    assert (result.code, "There is no queue 'gpu' in the namespace" in result.err) == (2, True), result.err
    assert uploaded.changes() == before


@pytest.mark.parametrize(
    "line",
    ["0 0 3 * * SUN", "0 */15 * * * *", "0 0 12 1,15 JAN-MAR ?", "59 59 23 31 12 6", "0 5/20 0-6/2 ? * mon-fri"],
)
def test_schedules_take_lines_of_six_fields(line, tmp_path):
    (schedule,) = read_schedules(write_schedules(tmp_path, "0 0 3 * * SUN", line))
    assert schedule.cron == line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 3 * * 0", "has 5 fields, but Kubeflow requires six.*write '0 0 3"),
        ("TZ=UTC 0 0 3 * * *", "has 7 fields"),
        ("60 * * * * *", "'60' as its second: give numbers from 0 to 59"),
        ("0 */0 * * * *", r"'\*/0' as its minute"),
        ("0 0 *-5 * * *", r"'\*-5' as its hour"),
        ("0 0 6-2 * * *", "'6-2' as its hour"),
        ("0 0 0 * * MON-FOO", "'MON-FOO' as its weekday: give numbers from 0 to 6 or SUN to SAT"),
        ("0 0 0 , * *", "'' as its day"),
    ],
)
def test_a_wrong_line_is_one_sentence(line, message):
    with pytest.raises(SettingsError, match=message):
        check_cron(line)


def test_a_time_zone_is_accepted_with_a_notice_and_changes_nothing(uploaded, capsys, tmp_path):
    file = write_schedules(tmp_path, "    profile", "    zone: Asia/Kolkata\n    profile")
    result = call(capsys, "schedule", "apply", file)
    assert result.code == 0
    assert "'zone' and 'cluster_zone' no longer have an effect" in result.err
    assert len(result.err.splitlines()) == 1
    (run,) = uploaded.recurring_runs.values()
    assert run["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * SUN"
