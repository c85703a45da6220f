"""Checkpoints that are mirrored: what a node that starts with an empty disk finds."""

import torch

from histoforge.storage import open_location
from histoforge.training.checkpoint import Checkpoints


def test_a_damaged_newest_checkpoint_in_the_mirror_gives_way_to_the_one_before(tmp_path):
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
