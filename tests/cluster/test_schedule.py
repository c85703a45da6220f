"""`histoforge schedule`: a cluster's recurring runs become what a file declares, and stay so when asked again."""

import json
from datetime import UTC, datetime

import pytest
from asking import call, in_kubernetes, write_pipeline, write_schedules

from histoforge.cluster.cron import check_cron, in_cluster_zone
from histoforge.core.errors import SettingsError

SUMMER, WINTER = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def uploaded(kubeflow, capsys, tmp_path):
    assert call(capsys, "pipelines", "upload", write_pipeline(tmp_path)).code == 0
    return kubeflow


def test_apply_makes_what_is_declared_and_then_there_is_nothing_to_do(uploaded, capsys, tmp_path):
    file = write_schedules(tmp_path)
    asked = call(capsys, "schedule", "diff", file)
    assert (asked.code, asked.out) == (1, "+ weekly: create (not there)\n"), asked.err
    assert uploaded.recurring_runs == {}
    assert call(capsys, "schedule", "apply", file).code == 0
    (made,) = uploaded.recurring_runs.values()
    assert made["trigger"]["cron_schedule"]["cron"] == "0 30 21 * * SAT"
    assert (made["no_catchup"], made["max_concurrency"], made["status"]) == (True, "1", "ENABLED")
    assert made["runtime_config"]["parameters"]["overrides"] == {"train_generator.epochs": 5.0}
    assert made["runtime_config"]["parameters"]["gpu_count"] == "0"
    changes = uploaded.changes()
    assert call(capsys, "schedule", "apply", file).out == "  weekly: nothing (as declared)\n"
    assert call(capsys, "schedule", "diff", file).code == 0
    assert uploaded.changes() == changes
    assert uploaded.refused == []


def test_a_change_replaces_it_and_names_what_differs(uploaded, capsys, tmp_path):
    call(capsys, "schedule", "apply", write_schedules(tmp_path))
    (old,) = uploaded.recurring_runs
    done = call(capsys, "schedule", "apply", write_schedules(tmp_path, "rounds: 3", "rounds: 4"))
    assert done.code == 0
    assert done.out == "~ weekly: replace (parameters.rounds: 3 → 4)\n"
    (new,) = uploaded.recurring_runs
    assert new != old


def test_diff_shows_the_changed_fields_alone_however_long_the_rest_is(uploaded, capsys, tmp_path):
    many = ", ".join(f'"train_generator.parameter_{number}": {number}' for number in range(40))
    path = write_schedules(tmp_path)
    call(capsys, "schedule", "apply", path)
    (one,) = uploaded.recurring_runs.values()
    one["runtime_config"]["parameters"]["overrides"].update(json.loads("{" + many + "}"))
    one["runtime_config"]["parameters"]["overrides"].update({"train_generator.epochs": 6.0})
    one["max_concurrency"] = "2"
    done = call(capsys, "schedule", "diff", path)
    assert done.code == 1
    assert "parameters.overrides.train_generator.epochs: 6 → 5" in done.out
    assert "at_once: 2 → 1" in done.out
    assert "s3://b/slides" not in done.out


def test_pause_apply_and_delete(uploaded, capsys, tmp_path):
    file = write_schedules(tmp_path)
    call(capsys, "schedule", "apply", file)
    assert call(capsys, "schedule", "pause", "weekly").code == 0
    (one,) = uploaded.recurring_runs.values()
    assert one["status"] == "DISABLED"
    assert call(capsys, "schedule", "diff", file).out == "~ weekly: resume (paused on the cluster)\n"
    paused = write_schedules(tmp_path, "name: weekly", "name: weekly\n    enabled: false")
    assert call(capsys, "schedule", "diff", paused).code == 0
    call(capsys, "schedule", "apply", write_schedules(tmp_path))
    assert one["status"] == "ENABLED"
    assert call(capsys, "schedule", "delete", "weekly").code == 0
    assert uploaded.recurring_runs == {}
    again = call(capsys, "schedule", "delete", "weekly")
    assert (again.code, "There is no recurring run 'weekly'" in again.err) == (2, True)


def test_what_is_no_longer_declared_is_named_and_deleted_only_when_asked(uploaded, capsys, tmp_path):
    call(capsys, "schedule", "apply", write_schedules(tmp_path))
    empty = tmp_path / "none.yaml"
    empty.write_text("schedules: []\n")
    assert call(capsys, "schedule", "apply", empty).out == "- weekly: undeclared (no longer declared)\n"
    assert len(uploaded.recurring_runs) == 1
    call(capsys, "schedule", "apply", empty, "--prune")
    assert uploaded.recurring_runs == {}


def test_an_apply_that_was_cut_off_between_making_and_deleting_is_made_good(uploaded, capsys, tmp_path):
    file = write_schedules(tmp_path)
    call(capsys, "schedule", "apply", file)
    (one,) = uploaded.recurring_runs.values()
    uploaded.recurring_runs["recurring-99"] = {**one, "recurring_run_id": "recurring-99"}
    assert call(capsys, "schedule", "apply", file).code == 0
    assert list(uploaded.recurring_runs) == [one["recurring_run_id"]]


def test_a_recurring_run_that_is_not_ours_is_left_alone(uploaded, capsys, tmp_path):
    file = write_schedules(tmp_path)
    call(capsys, "schedule", "apply", file)
    (one,) = uploaded.recurring_runs.values()
    one["description"] = "made by hand"
    done = call(capsys, "schedule", "apply", file)
    assert (done.code, "was not made by histoforge" in done.err) == (2, True)
    assert call(capsys, "schedule", "delete", "weekly").code == 2
    assert len(uploaded.recurring_runs) == 1


def test_with_profiles_everything_is_in_the_namespace_of_the_environment(kubeflow, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("KFP_NAMESPACE", "pathology")
    call(capsys, "pipelines", "upload", write_pipeline(tmp_path))
    file = write_schedules(tmp_path)
    assert call(capsys, "schedule", "apply", file).code == 0
    assert call(capsys, "schedule", "diff", file).code == 0
    everything = [*kubeflow.pipelines.values(), *kubeflow.experiments.values()]
    assert {one["namespace"] for one in everything} == {"pathology"}
    monkeypatch.setenv("KFP_NAMESPACE", "another")
    assert "no pipeline 'tiny'" in call(capsys, "schedule", "diff", file).err


def test_more_recurring_runs_than_a_page_holds(uploaded, capsys, tmp_path):
    file = write_schedules(tmp_path)
    text = file.read_text()
    block = text[text.index("  - name") :]
    file.write_text(text + "".join(block.replace("weekly", f"weekly-{number}") for number in range(4)))
    call(capsys, "schedule", "apply", file)
    assert len(uploaded.recurring_runs) == 5
    assert call(capsys, "schedule", "diff", file).code == 0


WRONG = {
    ('"0 0 3 * * SUN"', '"0 3 * * SUN"'): "has 5 fields and Kubeflow wants six",
    ('"0 0 3 * * SUN"', '"0 0 25 * * SUN"'): "'25' as its hour",
    ("Asia/Kolkata", "Asia/Nowhere"): "There is no time zone 'Asia/Nowhere'",
    ("pipeline: PIPELINE", "pipeline: selective-augmentatoin"): "did you mean 'selective-augmentation'?",
    ("profile: small", "profile: smal"): "did you mean 'small'?",
    ("rounds: 3", "round: 3"): "no parameter 'round'",
    ("rounds: 3", "password: x"): "no parameter 'password'",
    ("rounds: 3", "gpu_count: '64'"): "64 GPUs",
    ("    cron:", "    every: week\n    cron:"): "schedule has no parameter 'every'",
    ("schedules:", "plans:"): "declares no schedules",
}


@pytest.mark.parametrize(("old", "new"), WRONG, ids=lambda text: text[:20])
def test_what_is_wrong_is_one_sentence_before_anything_is_asked_for(kubeflow, capsys, tmp_path, old, new):
    done = call(capsys, "schedule", "apply", write_schedules(tmp_path, old, new))
    assert done.code == 2
    assert WRONG[old, new] in done.err, done.err
    assert len(done.err.splitlines()) == 1
    assert kubeflow.asked == []


def test_a_schedule_for_a_pipeline_that_is_not_there_changes_nothing(kubeflow, capsys, tmp_path):
    done = call(capsys, "schedule", "apply", write_schedules(tmp_path))
    assert (done.code, "run 'histoforge pipelines upload" in done.err) == (2, True)
    assert kubeflow.changes() == []


def test_a_schedule_whose_queue_is_not_there_changes_nothing(uploaded, capsys, tmp_path, monkeypatch):
    in_kubernetes(uploaded, tmp_path, monkeypatch)
    (tmp_path / "mine.yaml").write_text("gpu_count: 0\nqueue: gpu\n")
    before = uploaded.changes()
    done = call(
        capsys, "schedule", "apply", write_schedules(tmp_path, "profile: small", f"profile: {tmp_path}/mine.yaml")
    )
    assert (done.code, "There is no queue 'gpu' in the namespace" in done.err) == (2, True), done.err
    assert uploaded.changes() == before


@pytest.mark.parametrize(
    ("line", "zone", "moment", "moved"),
    [
        ("0 0 3 * * SUN", "UTC", SUMMER, "0 0 3 * * SUN"),
        ("0 0 3 * * SUN", "Europe/Berlin", SUMMER, "0 0 1 * * SUN"),
        ("0 0 3 * * SUN", "Europe/Berlin", WINTER, "0 0 2 * * SUN"),
        ("0 0 1 * * MON-FRI", "Europe/Berlin", SUMMER, "0 0 23 * * SUN,MON,TUE,WED,THU"),
        ("0 30 3 * * *", "Asia/Kolkata", SUMMER, "0 0 22 * * *"),
        ("0 0 22 * * SAT", "America/New_York", WINTER, "0 0 3 * * SUN"),
        ("0 */15 * * * *", "Europe/Berlin", SUMMER, "0 */15 * * * *"),
        ("0 0 12 1,15 JAN-MAR ?", "Europe/Berlin", WINTER, "0 0 11 1,15 JAN-MAR ?"),
    ],
)
def test_a_line_is_moved_to_the_zone_of_the_scheduler(line, zone, moment, moved):
    assert in_cluster_zone(line, zone, "UTC", moment) == moved
    check_cron(moved)


def test_a_line_that_is_not_one_line_in_the_other_zone_is_refused():
    with pytest.raises(SettingsError, match="is no single line in UTC"):
        in_cluster_zone("0 0 20 1 * *", "America/New_York", "UTC", WINTER)
    with pytest.raises(SettingsError, match="is no single line in UTC"):
        in_cluster_zone("0 0 0-5 * * SUN", "Europe/Berlin", "UTC", WINTER)
