"""`histoforge cluster-check`, all of it, against doubles of Kubeflow and of Kubernetes and a real S3 server.

No task runs here, but for the training that is killed in the last test. What the check would see of a cluster's tasks
(their artifacts, checkpoints, pods and logs, a schedule that fires) is arranged by `Cluster`; that they look so on a
real one is what the check is for.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from command_line import call
from histoforge_pipelines.table import PIPELINES
from s3_server import serve_s3, use
from tiny_pipeline import in_kubernetes, write_pipeline

from histoforge.cli.kubeflow.check.checked_cluster import with_image
from histoforge.cli.kubeflow.check.checks import CHECKS
from histoforge.cli.kubeflow.check.preemption import RESUMED, last_step
from histoforge.cli.kubeflow.check.tiny import ENDLESS, SETTINGS
from histoforge.cluster.packages import open_package
from histoforge.patches import PatchSetWriter
from histoforge.storage.opening import open_location

SENTENCE = "There is nothing at s3://bucket/nothing-here: correct the location, or put files there."
GOES_ON = "histogan: resumes after step 150 of 100000000.\n"


class Cluster:
    """Advance the runs: endless trainings have a pod, and scheduled runs follow one another."""

    def __init__(self, double, server):
        self.double, self.server = double, server
        self.resumes = GOES_ON
        self.report = {"report": b"<!doctype html><html>", "results": b'{"answer": {"headline": "They help."}}'}
        self.faults = SENTENCE
        double.failing_task = "scan-source"
        double.started = self.started
        double.before["delete_pod"] = lambda: self.train(self.run, 1, self.resumes)
        double.before["run_service_list_runs"] = self.minute_passes

    def started(self, run):
        given = run["runtime_config"]
        parameters, root = given["parameters"], given["pipeline_root"].removeprefix("s3://bucket/")
        name = self.double.pipelines[run["pipeline_version_reference"]["pipeline_id"]]["display_name"]
        below = f"{root}/{name}/{run['run_id']}"
        self.double.endless.discard(run["run_id"])
        if parameters["source"].endswith("nothing-here"):
            self.double.outcomes[run["run_id"]] = "FAILED"
            self.server.store("bucket", f"{below}/scan-source/1a/executor-logs-0", self.faults.encode())
        elif parameters["overrides"].get("train_generator.epochs", 0) > 1000:
            self.double.endless.add(run["run_id"])
            self.run = run
            self.train(run, 0, "")
        elif name == "selective-augmentation":
            for artifact, content in self.report.items():
                self.server.store("bucket", f"{below}/evaluate/2b/{artifact}", content)

    def train(self, run, attempt, log):
        """Start a pod that trains, with its checkpoint in the store."""
        node = f"w.root(0).train-generator(0).executor({attempt})"
        name = f"w-impl-{attempt}"
        labels, annotations = {"pipeline/runid": run["run_id"]}, {"workflows.argoproj.io/node-name": node}
        metadata = {"name": name, "namespace": "kubeflow", "labels": labels, "annotations": annotations}
        self.double.pods[name] = {"metadata": metadata, "status": {"phase": "Running"}, "log": log}
        prefix = run["runtime_config"]["parameters"]["checkpoints"].removeprefix("s3://bucket/")
        step = f"{150 * (attempt + 1):010d}"
        self.server.store("bucket", f"{prefix}/histogan-0123456789ab/checkpoint-{step}-ab.safetensors", b"x")
        self.server.store(
            "bucket", f"{prefix}/traditional-seed-0-0123456789ab/checkpoint-0000009999-ab.safetensors", b"x"
        )

    def minute_passes(self):
        for recurring in list(self.double.recurring_runs.values()):
            runs = [
                run for run in self.double.runs.values() if run.get("recurring_run_id") == recurring["recurring_run_id"]
            ]
            if recurring["status"] == "ENABLED" and all(run["state"] == "SUCCEEDED" for run in runs):
                self.double.fire(recurring["recurring_run_id"])


@pytest.fixture
def cluster(kubeflow, tmp_path, monkeypatch):
    """Return a cluster with pipelines, runs, schedules and files of others, which the check must not touch."""
    in_kubernetes(kubeflow, tmp_path, monkeypatch)
    kubeflow.pages = 50
    before = signal.getsignal(signal.SIGTERM)
    with serve_s3(tmp_path / "buckets") as server:
        use(monkeypatch, server.endpoint)
        server.bucket("bucket")
        server.store("bucket", "prefix/of-another", b"x")
        yield Cluster(kubeflow, server)
    signal.signal(signal.SIGTERM, before)


def check(capsys, tmp_path, *arguments):
    out = tmp_path / "check.json"
    options = ("--store", "s3://bucket/prefix", "--every", "0", "--beyond", "0", "--limit", "5", "--out", out)
    done = call(capsys, "cluster-check", *options, *arguments)
    return done, json.loads(out.read_text()) if out.exists() else None


def seen(kubeflow):
    kinds = ("pipelines", "versions", "experiments", "recurring_runs", "runs", "pods")
    return {kind: json.loads(json.dumps(getattr(kubeflow, kind))) for kind in kinds}


def test_every_check_passes_and_nothing_is_left(cluster, kubeflow, capsys, tmp_path):
    call(capsys, "pipelines", "upload", "rleo")
    call(capsys, "pipelines", "upload", write_pipeline(tmp_path))
    call(capsys, "submit", tmp_path / "tiny.yaml", "--source", "s3://b/slides", "--no-follow")
    kubeflow.create_pipeline({}, json.dumps({"display_name": "retraining", "description": "by hand"}).encode())
    before = seen(kubeflow)
    kubeflow.failing = 3
    done, result = check(capsys, tmp_path, "--image", "registry.example/histoforge:test", "--cpu", "2")
    assert done.code == 0, done.out + done.err
    assert result["ok"]
    assert [entry["check"] for entry in result["checks"]] == [*CHECKS, "clean"]
    details = {entry["check"]: entry["detail"] for entry in result["checks"]}
    assert SENTENCE in details["fault"]
    assert details["report"] == "They help."
    assert "resumed after step 150 in w-impl-1" in details["preemption"]
    lines = done.out.splitlines()
    assert len([line for line in lines if line.startswith("ok ")]) == 2 * (len(CHECKS) + 1), "each at once, and a table"
    assert seen(kubeflow) == before
    assert cluster.server.left_in("bucket") == ["prefix/of-another"]
    assert kubeflow.refused == []
    assert kubeflow.lost == set()


def test_the_tasks_run_in_the_image_and_with_the_sizes_that_were_given(cluster, kubeflow, capsys, tmp_path):
    chosen = ("--only", "upload", "--only", "rleo", "--keep")
    done, _ = check(capsys, tmp_path, *chosen, "--image", "registry.example/histoforge:test", "--cpu", "3")
    assert done.code == 0, done.err
    (run,) = kubeflow.runs.values()
    parameters = run["runtime_config"]["parameters"]
    assert {value for key, value in parameters.items() if key.startswith("cpu")} == {"3"}
    assert "cpu_training" in parameters
    assert parameters["gpu_count"] == "0"
    assert len(kubeflow.packages) == len(PIPELINES)
    for text in kubeflow.packages.values():
        assert "image: registry.example/histoforge:test\n" in text
        assert "ghcr.io" not in text


def test_without_an_image_the_compiled_file_is_uploaded_as_it_is():
    text = open_package("rleo").path.read_text(encoding="utf-8")
    assert with_image(text, "") == text


def broken_resume(cluster, kubeflow):
    cluster.resumes = "histogan: begins.\n"


def broken_report(cluster, kubeflow):
    cluster.report.pop("results")


def broken_sentence(cluster, kubeflow):
    cluster.faults = "Traceback"


def broken_schedule(cluster, kubeflow):
    cluster.minute_passes = kubeflow.before["run_service_list_runs"] = lambda: None


def broken_pods(cluster, kubeflow):
    kubeflow.forbids_pods = True


def broken_launcher(cluster, kubeflow):
    kubeflow.kubernetes["/api/v1/namespaces/kubeflow/configmaps/kfp-launcher"]["data"]["providers"] = "gs: {}"


def broken_runs(cluster, kubeflow):
    kubeflow.outcome = "FAILED"


@pytest.mark.parametrize(
    ("only", "breaks", "minutes", "sentence"),
    [
        ("preemption", broken_resume, 0.05, "for the retry to resume"),
        ("report", broken_report, 5, "lacks results"),
        ("fault", broken_sentence, 5, "not with the message"),
        ("schedule", broken_schedule, 0.05, "0 of 2 scheduled runs"),
        ("reach", broken_pods, 5, "cannot be listed (403"),
        ("reach", broken_launcher, 5, "lacks the provider 's3'"),
        ("preemption", broken_pods, 5, "cannot be listed or deleted"),
        ("rleo", broken_runs, 5, "failed"),
    ],
)
def test_a_faulty_cluster_fails_the_check_and_is_cleaned_up(
    cluster, kubeflow, capsys, tmp_path, only, breaks, minutes, sentence
):
    breaks(cluster, kubeflow)
    before = seen(kubeflow)
    done, result = check(capsys, tmp_path, "--only", only, "--limit", minutes)
    assert done.code == 1, done.err
    (entry, cleaning) = result["checks"]
    assert (entry["ok"], sentence in entry["detail"]) == (False, True), entry["detail"]
    assert cleaning["ok"], cleaning["detail"]
    assert not result["ok"]
    assert seen(kubeflow) == before
    assert cluster.server.left_in("bucket") == ["prefix/of-another"]


def test_stopped_it_cleans_up(cluster, kubeflow, capsys, tmp_path):
    cluster.double.started = lambda run: signal.raise_signal(signal.SIGTERM)
    before = seen(kubeflow)
    done, result = check(capsys, tmp_path, "--only", "fault")
    assert done.code == 130
    assert [entry["check"] for entry in result["checks"]] == ["clean"]
    assert seen(kubeflow) == before
    assert cluster.server.left_in("bucket") == ["prefix/of-another"]


def test_clean_deletes_a_kept_check_by_its_name(cluster, kubeflow, capsys, tmp_path):
    before = seen(kubeflow)
    _, result = check(capsys, tmp_path, "--only", "retraining", "--keep")
    assert seen(kubeflow) != before
    done, _ = check(capsys, tmp_path, "--clean", result["name"])
    assert (done.code, seen(kubeflow)) == (0, before), done.err
    assert cluster.server.left_in("bucket") == ["prefix/of-another"]


def test_objects_that_cannot_be_deleted_are_named_and_the_others_deleted(cluster, kubeflow, capsys, tmp_path):
    from request_models import BadRequest

    def refuse():
        raise BadRequest(500, "database is locked")

    kubeflow.before["experiment_service_delete_experiment"] = refuse
    done, result = check(capsys, tmp_path, "--only", "fault")
    assert (done.code, result["checks"][-1]["ok"]) == (1, False)
    assert "database is locked" in result["checks"][-1]["detail"]
    assert (kubeflow.versions, len(kubeflow.experiments)) == ({}, 1)
    assert cluster.server.left_in("bucket") == ["prefix/of-another"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("--only", "preemtion"), "did you mean 'preemption'?"), (("--store", "here"), "give s3://bucket/prefix")],
)
def test_invalid_input_is_one_sentence(cluster, kubeflow, capsys, tmp_path, arguments, sentence):
    done, _ = check(capsys, tmp_path, *arguments)
    assert (done.code, sentence in done.err, len(done.err.splitlines())) == (2, True, 1)
    assert kubeflow.asked == []


@contextmanager
def training(folder, name):
    """Start a training of the generator as the check does, in a separate process that logs to a file."""
    settings = {key.partition(".")[2]: value for key, value in {**SETTINGS, **ENDLESS}.items() if "generator" in key}
    arguments = ["--patches", folder / "patches", "--out", folder / name, "--checkpoints", folder / "store"]
    arguments += ["--preset", "", *(word for key, value in settings.items() for word in ("--set", f"{key}={value}"))]
    command = [sys.executable, "-c", "from histoforge.cli import main; main()", "train-generator", *map(str, arguments)]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        yield process, folder / f"{name}.log"
    finally:
        process.kill()
        process.wait()


def wait_for(sought, process, log):
    while not (result := sought()):
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    return result


def test_a_real_training_writes_the_checkpoints_and_lines_that_the_check_expects(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 16, 3), dtype=np.uint8)
    with PatchSetWriter.create(tmp_path / "patches", ["benign", "tumour"], (16, 16), 0.5) as writer:
        for label, images in enumerate(noise):
            writer.add(images, label=label, patient=f"p{label}")
        writer.finish({"step": "test"}, split=["train"] * 32)
    store = open_location(str(tmp_path / "store"))
    with training(tmp_path, "first") as (process, log):
        step = wait_for(lambda: last_step(store), process, log)
    with training(tmp_path, "second") as (process, log):
        resumed = wait_for(lambda: RESUMED.search(log.read_text()), process, log)
        assert int(resumed[1]) >= step
        wait_for(lambda: last_step(store) > int(resumed[1]), process, log)
