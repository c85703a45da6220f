"""Two processes that train together end with the weights of a single process."""

import os

import torch
from processes import run_ranks
from torch import nn
from toy import data

from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo, load_model, save_model


def train(folder):
    rank = os.environ["RANK"]
    engine = Engine(folder / f"work-{rank}", {}, device="cpu", precision="float32", checkpoint_every=0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.LayerNorm(8), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(network.parameters(), 1e-2)
    for batch in engine.batches(data(), batch_size=16, epochs=3):
        noise = engine.normal(16, 1, 1, 1)
        loss = nn.functional.cross_entropy(network(batch.images + noise), batch.labels)
        engine.step(optimizer, loss)
        engine.end_of_step(loss=loss)
    info = ModelInfo(kind="classifier", method="toy", config={}, classes=["a", "b"], patch_size=(8, 8))
    save_model(folder / f"model-{rank}", info, network.state_dict())


def train_with(folder, world):
    folder.mkdir()
    run_ranks(folder, world, train, folder)
    return [load_model(folder / f"model-{rank}", "classifier")[1] for rank in range(world)]


def test_two_processes_train_as_one(tmp_path):
    (alone,) = train_with(tmp_path / "one", 1)
    first, second = train_with(tmp_path / "two", 2)
    for name, weights in alone.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], weights, rtol=1e-5, atol=1e-6)
