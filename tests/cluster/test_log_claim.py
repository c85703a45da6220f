"""TensorBoard's files of a training go below the claim that all runs share, where a task is told of one."""

import pytest

from histoforge.core.errors import StorageError
from histoforge.training.log import LOG_NAME, TrainingLog


def events(folder):
    return [path.relative_to(folder) for path in folder.rglob("events.out.*")]


def test_without_a_claim_they_lie_beside_the_log(tmp_path, monkeypatch):
    monkeypatch.delenv("HISTOFORGE_LOGS", raising=False)
    log = TrainingLog(tmp_path / "run" / "generator-training", from_step=0)
    log.write(1, 0, {"loss": 1.0})
    log.close()
    (event_file,) = events(tmp_path)
    assert event_file.parent.as_posix() == "run/generator-training/tensorboard"


def test_with_a_claim_they_lie_there_under_the_path_of_the_task(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOFORGE_LOGS", str(tmp_path / "logs"))
    for run in ("one", "two"):
        log = TrainingLog(tmp_path / run / "generator-training", from_step=0)
        log.write(1, 0, {"loss": 1.0})
        log.close()
        assert (tmp_path / run / "generator-training" / LOG_NAME).is_file()
    event_files = sorted(path.as_posix() for path in events(tmp_path / "logs"))
    assert [path.split("/")[-3:-1] for path in event_files] == [
        ["one", "generator-training"],
        ["two", "generator-training"],
    ]
    assert events(tmp_path / "one") == []


def test_a_claim_that_cannot_be_written_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "logs").write_text("no folder")
    monkeypatch.setenv("HISTOFORGE_LOGS", str(tmp_path / "logs"))
    with pytest.raises(StorageError, match="cannot be written"):
        TrainingLog(tmp_path / "run", from_step=0)
