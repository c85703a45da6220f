"""Two processes train the unified ViT cGAN together as a single process does."""

import json
import os

import pytest
import torch
from generators.test_vitgan_training import patches_path, train
from processes import run_ranks

from histoforge.patches import PatchSet
from histoforge.training.state import load_state, save_state

STEPS = 3
COMPARED = ("wasserstein", "penalty", "ce_real", "ce_synthetic", "s_real", "s_synthetic", "passed_0", "val_loss")
__all__ = ["patches_path"]  # a fixture


def train_one(folder, path):
    rank = os.environ["RANK"]
    torch.set_num_threads(1)
    settings = {"epochs": STEPS, "epoch_steps": 1, "confidence": 0.4, "balanced_selection": True, "ema_decay": 0.9}
    result = train(folder / f"work-{rank}", PatchSet.open(path), learning_rate=1e-4, **settings)
    save_state(folder / f"state-{rank}", {"generator": result.state, "classifier": result.classifier.state})
    rows = [{name: row[name] for name in COMPARED} for row in result.history.rows]
    (folder / f"rows-{rank}.json").write_text(json.dumps(rows))


def train_with(folder, world, path):
    folder.mkdir()
    run_ranks(folder, world, train_one, folder, path)
    states = [load_state(folder / f"state-{rank}") for rank in range(world)]
    return states, [json.loads((folder / f"rows-{rank}.json").read_text()) for rank in range(world)]


def test_two_processes_train_as_one(patches_path, tmp_path):
    _, (alone,) = train_with(tmp_path / "one", 1, patches_path)
    (first, second), (rows, _) = train_with(tmp_path / "two", 2, patches_path)
    for name in ("generator", "classifier"):
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
    assert len(rows) == STEPS
    for row, expected in zip(rows, alone, strict=True):
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-4)
