"""A killed training resumes from its checkpoint in a bucket, on a machine without any of its files."""

import os
import shutil
import signal
from functools import partial

import pytest
from processes import run_process
from s3_server import SETTING_PREFIXES, serve_s3, use
from toy import train

from histoforge.core.errors import StorageError


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """An empty bucket `runs`; the environment points to its server."""
    with serve_s3(tmp_path / "buckets") as server:
        use(monkeypatch, server.endpoint)
        yield server.bucket("runs")


def train_there(environment, folder, **options):
    """Train in another process, which has the environment of the day on which its server was started."""
    os.environ.update(environment)
    train(folder / "work", folder / "model", **options)


def run_toy(folder, **options):
    s3 = {name: value for name, value in os.environ.items() if name.startswith(SETTING_PREFIXES)}
    return run_process(folder / "stderr", partial(train_there, **options), s3, folder)


def test_a_killed_training_goes_on_elsewhere_to_the_same_bytes(tmp_path, bucket):
    first, second, undisturbed = (tmp_path / name for name in ("first", "second", "undisturbed"))
    for folder in (first, second, undisturbed):
        folder.mkdir()
    assert run_toy(undisturbed).code == 0

    killed = run_toy(first, checkpoints="s3://runs/nightly", die_at=11)
    assert killed.code == -signal.SIGKILL
    assert not (first / "model").exists()
    shutil.rmtree(first)
    (mirrored,) = (path for path in bucket.rglob("*") if path.is_file())
    assert mirrored.name.startswith("checkpoint-0000000008-")

    resumed = run_toy(second, checkpoints="s3://runs/nightly")
    assert resumed.code == 0, resumed.stderr
    assert "resumes after step 8 of 20" in resumed.stderr
    for name in ("model.safetensors", "model.json"):
        assert (second / "model" / name).read_bytes() == (undisturbed / "model" / name).read_bytes()
    assert [path for path in bucket.rglob("*") if path.is_file()] == []


def test_a_missing_bucket_is_reported_before_the_first_step(tmp_path, bucket):
    with pytest.raises(StorageError, match="There is no bucket for s3://absent/"):
        train(tmp_path / "work", tmp_path / "model", checkpoints="s3://absent/x", poison_at=1)


def test_a_read_only_bucket_is_reported_before_the_first_step(tmp_path, monkeypatch):
    (tmp_path / "buckets" / "runs").mkdir(parents=True)
    with serve_s3(tmp_path / "buckets", "--read-only") as server:
        use(monkeypatch, server.endpoint)
        with pytest.raises(StorageError, match="s3://runs/nightly/"):
            train(tmp_path / "work", tmp_path / "model", checkpoints="s3://runs/nightly", poison_at=1)
