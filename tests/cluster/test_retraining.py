"""A scheduled run goes on where the source has changed, and ends early, saying so, where it has not."""

import contextlib
import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from histoforge_pipelines.retraining import retraining
from kfp import dsl, local
from s3_server import serve_s3, use
from tiny_study import SETTINGS, write_images

from histoforge.core.errors import StorageError
from histoforge.storage import check_writable, open_location
from histoforge.tasks import scan_source
from histoforge.tasks.small_tasks import run_find_news
from histoforge.tasks.source_record import NAME, detect_changes, keep_record

COMPILED = Path(__file__).resolve().parents[2] / "pipelines" / "retraining.yaml"


def test_other_slides_and_other_settings_are_changes(tmp_path):
    state = str(tmp_path / "state")
    first = detect_changes("s3://b/slides", "d1", {"seed": 0}, state)
    assert (first.changed, "has not been trained on before" in first.reason) == (True, True)
    keep_record(first.record, state)
    again = detect_changes("s3://b/slides", "d1", {"seed": 0}, state)
    assert (again.changed, "has no new slides since" in again.reason) == (False, True)
    assert detect_changes("s3://b/slides", "d2", {"seed": 0}, state).reason.startswith(
        "s3://b/slides has changed since"
    )
    assert detect_changes("s3://b/slides", "d1", {"seed": 1}, state).reason.startswith(
        "The settings have changed since"
    )


def test_a_damaged_record_is_no_reason_to_train_or_not_to(tmp_path):
    (tmp_path / NAME).write_text("{}")
    with pytest.raises(StorageError, match="is not a record of a source: delete it"):
        detect_changes("s3://b/slides", "d1", {}, str(tmp_path))


def test_where_the_run_will_publish_is_tried_before_it_trains(tmp_path, monkeypatch, capfd):
    summary = SimpleNamespace(path=str(tmp_path / "summary.md"))
    metrics = dsl.Metrics(uri=str(tmp_path / "metrics.json"))
    with serve_s3(tmp_path / "buckets") as server:
        bucket = server.bucket("runs")
        use(monkeypatch, server.endpoint)
        given = ("s3://b/slides", "d1", {"seed": 0}, "s3://runs/state")
        assert run_find_news(*given, ("s3://runs/models", ""), summary, metrics)[0]
        assert [path for path in bucket.rglob("*") if path.is_file()] == []
        assert metrics.metadata["changed"] == 1
        assert metrics.metadata["task.peak_memory_gib"] > 0
        with pytest.raises(SystemExit):
            run_find_news(*given, ("s3://absent/models", ""), summary, metrics)
        assert "There is no bucket for s3://absent/models" in capfd.readouterr().err.splitlines()[-1]
        use(monkeypatch, server.endpoint, AWS_SECRET_ACCESS_KEY="a-wrong-secret")
        with pytest.raises(StorageError, match="does not accept the access key or its secret"):
            check_writable(open_location("s3://runs/models"))


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_a_run_without_new_slides_ends_early_with_a_message(tmp_path):
    source, state = write_images(tmp_path / "images", per_class=2, patients=2), str(tmp_path / "state")
    given = {"preset": "", "overrides": SETTINGS, "patch_size": "", "slide_mpp": 0.0, "seeds": 0, "seed": 0}
    digest = scan_source.run(str(source), "", SETTINGS, {}).digest
    keep_record(detect_changes(str(source), digest, {"source": str(source), **given}, state).record, state)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "kfp"))
    with contextlib.redirect_stdout(io.StringIO()) as output:
        retraining(
            source=str(source), state=state, models=str(tmp_path / "models"), preset="", overrides=dict(SETTINGS)
        )
    assert "has no new slides since" in output.getvalue()
    assert {path.name for path in (tmp_path / "kfp").glob("*/*")} == {"scan-source", "find-news"}


def test_everything_that_trains_or_publishes_depends_on_a_change():
    spec = next(yaml.safe_load_all(COMPILED.read_text(encoding="utf-8")))
    tasks = spec["root"]["dag"]["tasks"]
    (branch,) = (name for name in tasks if name.startswith("condition"))
    assert set(tasks) == {"scan-source", "find-news", branch}
    assert "find-news-Output" in tasks[branch]["triggerPolicy"]["condition"]
    inner = spec["components"][tasks[branch]["componentRef"]["name"]]["dag"]["tasks"]
    assert inner["record-source"]["dependentTasks"] == ["publish-model"]
    challengers = inner["publish-model"]["inputs"]["artifacts"]["challengers"]["taskOutputArtifact"]
    trained = spec["components"][inner[challengers["producerTask"]]["componentRef"]["name"]]["outputDefinitions"]
    assert challengers["outputArtifactKey"] in trained["artifacts"]
    assert "preprocess" in inner[challengers["producerTask"]]["dependentTasks"]
    assert all(tasks[name]["cachingOptions"] == {} for name in ("scan-source", "find-news"))
    assert all(inner[name]["cachingOptions"] == {} for name in ("publish-model", "record-source"))


def test_the_record_survives_json_and_names_its_source(tmp_path):
    keep_record(detect_changes("s3://b/slides", "d1", {}, str(tmp_path)).record, str(tmp_path))
    assert json.loads((tmp_path / NAME).read_text())["source"] == "s3://b/slides"
