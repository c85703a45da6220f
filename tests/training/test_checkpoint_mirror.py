"""Mirrored checkpoints, as a node with an empty disk loads them."""

import pytest
import torch
from torch import nn
from toy import data

from histoforge.core.errors import CheckpointError
from histoforge.storage import open_location
from histoforge.training.checkpoint import Checkpoints
from histoforge.training.engine import Engine


def test_a_damaged_checkpoint_in_the_mirror_is_replaced_by_the_previous_one(tmp_path):
    mirror = open_location(str(tmp_path / "mirror"))
    first = Checkpoints(tmp_path / "first", mirror)
    first.save(1, {"step": 1, "weights": torch.ones(3)})
    (older,) = (tmp_path / "mirror").iterdir()
    content = older.read_bytes()
    first.save(2, {"step": 2, "weights": torch.zeros(3)})
    (newest,) = (tmp_path / "mirror").iterdir()
    older.write_bytes(content)
    newest.write_bytes(newest.read_bytes()[:-8])

    state = Checkpoints(tmp_path / "elsewhere", mirror).load()
    assert state["step"] == 1
    torch.testing.assert_close(state["weights"], torch.ones(3))


def begin(folder, version, network, **options):
    """Run the first two steps with a version of the program, with a checkpoint after the first."""
    engine = Engine(folder, {"code_version": version}, device="cpu", checkpoint_every=1, label="toy", **options)
    engine.track(network=network)
    batches = engine.batches(data(), batch_size=16, epochs=5)
    next(batches)
    engine.end_of_step()
    next(batches)
    return engine


def test_a_checkpoint_of_another_version_is_reported_and_kept(tmp_path, capfd):
    mirrors = str(tmp_path / "mirrors")
    begin(tmp_path / "work", "0.1.0", nn.Linear(2, 2), checkpoints=mirrors)
    capfd.readouterr()
    assert begin(tmp_path / "elsewhere", "0.2.0", nn.Linear(3, 3), checkpoints=mirrors).global_step == 1
    (line,) = (line for line in capfd.readouterr().err.splitlines() if "from another version" in line)
    assert line.startswith(f"Ignoring the checkpoint {mirrors}/toy-")
    assert len(list((tmp_path / "mirrors").glob("toy-*/checkpoint-*"))) == 2


def test_a_checkpoint_that_does_not_fit_the_network_is_one_sentence(tmp_path):
    begin(tmp_path, "0.1.0", nn.Linear(2, 2))
    with pytest.raises(CheckpointError, match="by another version of histoforge or for another network: delete it"):
        begin(tmp_path, "0.1.0", nn.Linear(3, 3))
