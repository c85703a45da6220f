"""A task that trains on several nodes: the job that it creates, follows and deletes, and what comes of it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from trainer_double import JOBS, NAMESPACE, POD, WORKFLOW, TrainerDouble, serve_trainer, write_patches

from histoforge.core.errors import HistoforgeError, SettingsError, TrainingError
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS
from histoforge.tasks import distributed_launch, train_job

STEP = STEPS["train_generator"]
TINY = {"batch_size": 8, "epochs": 1, "epoch_steps": 2, "device": "cpu", "precision": "float32", "nodes": 2}
TASK = """
import sys
from pathlib import Path
from histoforge.steps.table import STEPS
from histoforge.tasks import distributed_launch, train_job
train_job.POLL = 0.05
step = STEPS["train_generator"]
config = step.config_class.model_validate_json(sys.argv[1])
paths = {"patches": Path(sys.argv[2]), "generator": Path(sys.argv[3])}
distributed_launch.run(step, config, paths)
"""


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainerDouble]:
    monkeypatch.setattr(train_job, "POLL", 0.05)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("KFP_POD_NAME", POD)
    with serve_trainer(tmp_path) as double:
        yield double


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patches(tmp_path_factory.mktemp("patches") / "patches")


def settings(checkpoints: Path, **values: Any) -> Any:
    return step_config(STEP, "quickstart", {}, {**TINY, "checkpoints": str(checkpoints), **values})


def train(config: Any, patches: Path, out: Path) -> Any:
    paths = {"patches": patches, "generator": out, **dict.fromkeys(("extractor", "guide", "autoencoder", "latents"))}
    return distributed_launch.run(STEP, config, paths)


def task(config: Any, patches: Path, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", TASK, config.model_dump_json(), str(patches), str(out)])


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_task_follows_the_same_job_to_the_weights_of_one_task_with_as_many_processes(
    trainer: TrainerDouble, patches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    config = settings(tmp_path / "checkpoints")
    killed = task(config, patches, tmp_path / "two")
    wait_for(lambda: trainer.jobs)
    killed.kill()
    killed.wait()
    (job,) = trainer.jobs.values()
    summary = train(config, patches, tmp_path / "two")
    name = job["metadata"]["name"]
    assert trainer.asked == [f"POST {JOBS}", f"DELETE {JOBS}/{name}"]
    assert trainer.wait() == [0, 0]
    shown = capfd.readouterr().out
    assert all(line in shown for line in (tmp_path / "node-0.log").read_text().splitlines())
    assert not [path for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()]
    monkeypatch.setenv("HISTOFORGE_PROCESSES", "2")
    alone = train(settings("", nodes=1), patches, tmp_path / "one")
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    assert summary.model_copy(update={"seconds": 0}) == alone.model_copy(update={"seconds": 0})


def test_the_job_is_like_the_task_and_belongs_to_its_run(trainer: TrainerDouble, patches: Path, tmp_path: Path) -> None:
    jobs: list[dict[str, Any]] = []
    trainer.created = lambda job: (jobs.append(job), trainer.end(job["metadata"]["name"], "Failed"))
    with pytest.raises(SystemExit):
        train(settings(tmp_path / "checkpoints"), patches, tmp_path / "out")
    (job,) = jobs
    assert job["metadata"]["namespace"] == NAMESPACE
    assert job["metadata"]["ownerReferences"] == [{**WORKFLOW, "controller": False, "blockOwnerDeletion": False}]
    assert job["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "histoforge",
        "kueue.x-k8s.io/queue-name": "research",
    }
    assert job["spec"]["runtimeRef"]["name"] == "histoforge-torch"
    nodes = job["spec"]["trainer"]
    assert nodes["numNodes"] == 2
    assert nodes["image"] == "histoforge-cuda:1"
    assert nodes["env"] == [{"name": "HISTOFORGE_PROCESSES", "value": "1"}]


def test_a_stopped_task_deletes_its_job(trainer: TrainerDouble, patches: Path, tmp_path: Path) -> None:
    trainer.created = lambda job: None
    trainer.jobs["another"] = {"metadata": {"name": "another"}}
    stopped = task(settings(tmp_path / "checkpoints"), patches, tmp_path / "out")
    wait_for(lambda: len(trainer.jobs) == 2)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(timeout=60) == 143
    assert list(trainer.jobs) == ["another"]


def test_the_error_of_the_nodes_is_that_of_the_task(trainer: TrainerDouble, patches: Path, tmp_path: Path) -> None:
    def fail(job: dict[str, Any]) -> None:
        shared = Path(job["spec"]["trainer"]["command"][-1])
        (shared / "result.json").write_text(json.dumps({"error": "The loss of step 7 is not finite: lower the rate."}))

    trainer.created = fail
    for _ in range(2):  # a retry tries again
        with pytest.raises(HistoforgeError, match=r"^The loss of step 7 is not finite"):
            train(settings(tmp_path / "checkpoints"), patches, tmp_path / "out")
    assert [request.partition(" ")[0] for request in trainer.asked] == ["POST", "DELETE"] * 2
    assert not (tmp_path / "out").exists()


def test_a_job_that_failed_is_shown_and_not_followed_again(
    trainer: TrainerDouble, patches: Path, tmp_path: Path, capfd: Any
) -> None:
    def fail(job: dict[str, Any]) -> None:
        (tmp_path / "node-0.log").write_text("Traceback\nRuntimeError: a bug\n")
        trainer.end(job["metadata"]["name"], "Failed")

    trainer.created = fail
    with pytest.raises(SystemExit) as stop:
        train(settings(tmp_path / "checkpoints"), patches, tmp_path / "out")
    assert stop.value.code == 1
    shown = capfd.readouterr()
    assert shown.out.count("RuntimeError: a bug") == 1
    assert ": the jobs have ended" in shown.out + shown.err
    (name,) = (path.name for path in (tmp_path / "checkpoints" / "nodes").iterdir())
    trainer.jobs[name] = {"metadata": {"name": name}}
    trainer.end(name, "Failed")
    trainer.asked.clear()
    with pytest.raises(SystemExit):
        train(settings(tmp_path / "checkpoints"), patches, tmp_path / "out")
    assert trainer.asked == [f"DELETE {JOBS}/{name}", f"POST {JOBS}", f"DELETE {JOBS}/{name}"]


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (
            404,
            r"This cluster has no TrainJobs: install Kubeflow Trainer .* manifests/components/trainer, or give nodes=1",
        ),
        (
            403,
            r"could not be created \(403 trainjobs is forbidden\): apply manifests/components/trainer to the namespace",
        ),
    ],
)
def test_a_cluster_without_trainer_or_permission_is_named(
    trainer: TrainerDouble, patches: Path, tmp_path: Path, status: int, sentence: str
) -> None:
    trainer.refuses = status
    with pytest.raises(TrainingError, match=sentence):
        train(settings(tmp_path / "checkpoints"), patches, tmp_path / "out")


def test_what_several_nodes_need_is_named(
    trainer: TrainerDouble, patches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="nodes is 2, .*: give checkpoints"):
        train(settings(""), patches, tmp_path / "out")
    monkeypatch.delenv("KFP_POD_NAME")
    with pytest.raises(SettingsError, match="only a task on Kubeflow can start: give nodes=1"):
        train(settings(tmp_path / "checkpoints"), patches, tmp_path / "out")
    assert trainer.asked == []
