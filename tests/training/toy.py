"""A small training for tests that kill it."""

import os
import signal

import numpy as np
import torch
from torch import nn

from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.training.ema import EMA
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo, save_model


def pixels():
    return np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)


def data():
    images = pixels()
    return DevicePatches(torch.from_numpy(images).permute(0, 3, 1, 2), torch.arange(50) % 2, torch.device("cpu"))


def train(
    work,
    out,
    checkpoints="",
    die_at=0,
    die_with=signal.SIGKILL,
    poison_at=0,
    precision="float32",
    times=1,
    patches=None,
):
    if die_with == signal.SIGINT:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background ignore it
    engine = Engine(
        work,
        {"toy": 1},
        seed=3,
        device="cpu",
        precision=precision,
        checkpoints=checkpoints,
        checkpoint_every=4,
        log_every=3,
    )
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(192, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    ema = EMA(network, 0.99)
    engine.track(network=network, optimizer=optimizer, ema=ema)
    training = data() if patches is None else DevicePatches.load(PatchSet.open(patches), "cpu")
    for batch in engine.batches(training, batch_size=16, epochs=5):
        with engine.autocast():
            noise = engine.normal(len(batch.labels), 1, 1, 1)
            loss = nn.functional.cross_entropy(network(batch.images + 0.1 * noise).float(), batch.labels)
        if engine.global_step + 1 == poison_at:
            loss = loss * float("nan")
        engine.step(optimizer, loss, clip_norm=5.0)
        ema.update(network)
        if engine.global_step + 1 == die_at:
            for _ in range(times):
                os.kill(os.getpid(), die_with)
        engine.end_of_step(loss=loss)
    info = ModelInfo(kind="classifier", method="toy", config={}, classes=["a", "b"], patch_size=(8, 8))
    save_model(out, info, {**network.state_dict(), **{f"ema.{k}": v for k, v in ema.module.state_dict().items()}})
    engine.finish()
