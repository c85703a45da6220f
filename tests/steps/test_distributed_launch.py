"""Two processes on the CPU that train as one: the same losses and weights as one process."""

import os
import socket
import threading

import numpy as np
import pytest
import torch
from processes import run_process
from two_pictures import CLASSES, SETTINGS

from histoforge.core.documents import read_json
from histoforge.core.errors import SettingsError
from histoforge.patches import PatchSetWriter
from histoforge.steps.table import STEPS
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.steps.train_generator_config import TrainGeneratorConfig
from histoforge.tasks.distributed_launch import run
from histoforge.tasks.usage import GIB, Meter, process_peak
from histoforge.training.model_files import load_model

COMMON = {"precision": "float32", "device": "cpu", "epochs": 2, "batch_size": 8}
GENERATORS = {
    "histogan": {**SETTINGS, **COMMON, "epoch_steps": 2, "flips": True, "critic_norm": "cbn"},
    "ddpm": {
        **COMMON, "epoch_steps": 2, "method": "ddpm", "unet_channels": 16, "levels": 3, "level_blocks": 1,
        "attention_size": 4, "dropout": 0.0, "by_label": True, "sampling_steps": 2,
    },
    "stylegan2": {
        **COMMON, "epoch_steps": 2, "method": "stylegan2", "z_dim": 8, "style_dim": 8, "mapping_layers": 2,
        "channel_base": 256, "channel_max": 16, "path_every": 2, "diff_augment": "colour", "learning_rate": 2e-4,
    },
    "vqgan": {
        **COMMON, "epoch_steps": 2, "method": "vqgan", "vq_channels": 8, "downsamplings": 2, "level_blocks": 1,
        "codebook_size": 8, "code_channels": 2, "discriminator_channels": 4, "discriminator_layers": 2,
        "discriminator_start": 1, "restart_after": 1, "prior_layers": 1, "prior_channels": 8, "prior_heads": 2,
    },
}  # fmt: skip
CLASSIFIER = {
    **COMMON, "backbone": "resnet10", "stem": "small", "width": 0.125, "dropout": 0.0, "seeds": 1,
    "augmentation": "traditional", "seed": 1,
}  # fmt: skip


def write_patches(path):
    """Noise of two brightnesses, with a validation split."""
    noise = np.random.default_rng(0).integers(0, 200, (2, 24, 16, 16, 3), dtype=np.uint8)
    with PatchSetWriter.create(path, CLASSES, (16, 16), 0.5) as writer:
        for label, images in enumerate(noise):
            writer.add(images + 50 * label, label=label, patient=f"p{label}")
        writer.finish({"step": "test"}, split=(["train"] * 16 + ["val"] * 8) * 2)


def train_all(folder, rank, world, port):
    """One process of `world`: two GANs with penalties, a diffusion model and a classifier."""
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    patches = folder.parent / "patches"
    for method, settings in GENERATORS.items():
        config = TrainGeneratorConfig.make(settings)
        run(STEPS["train_generator"], config, {"patches": patches, "generator": folder / method})
    config = TrainClassifierConfig.make(CLASSIFIER)
    run(STEPS["train_classifier"], config, {"patches": patches, "model": folder / "classifier"})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folders of what one process made, and of what two made."""
    folder = tmp_path_factory.mktemp("together")
    write_patches(folder / "patches")
    for world in (1, 2):
        (folder / str(world)).mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        ended = {}

        def start(rank, world=world, port=port, ended=ended):
            log = folder / f"stderr-{world}-{rank}"
            ended[rank] = run_process(log, train_all, folder / str(world), rank, world, port)

        threads = [threading.Thread(target=start, args=(rank,)) for rank in range(world)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [ended[rank].code for rank in range(world)] == [0] * world, ended[0].stderr[-2000:]
    return folder / "1", folder / "2"


def weights_are_alike(alone, both, kind):
    one, two = (load_model(path, kind)[1] for path in (alone, both))
    for name, weights in one.items():
        torch.testing.assert_close(two[name], weights, rtol=1e-3, atol=1e-4, msg=name)


def numbers_are_alike(alone, both):
    for one, two in zip(alone, both, strict=True):
        for name in set(one) - {"seconds"}:
            if one[name] is not None:
                assert two[name] == pytest.approx(one[name], rel=1e-3), name


@pytest.mark.parametrize("method", GENERATORS)
def test_a_generator_ends_alike(method, trained):
    alone, both = (folder / method for folder in trained)
    weights_are_alike(alone, both, "generator")
    numbers_are_alike(*(read_json(folder / "history.json")["epochs"] for folder in (alone, both)))


def test_a_classifier_ends_alike(trained):
    alone, both = (folder / "classifier" for folder in trained)
    weights_are_alike(alone / "seed-1", both / "seed-1", "classifier")
    numbers_are_alike(*(read_json(folder / "arm.json")["runs"][0]["history"] for folder in (alone, both)))


def test_the_agent_starts_them_and_hands_on_the_users_error(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOFORGE_PROCESSES", "2")
    config = TrainGeneratorConfig.make({**GENERATORS["histogan"], "batch_size": 7})
    meter = Meter()
    with pytest.raises(SettingsError, match="batch of 7 patches cannot be divided among 2 processes"):
        run(
            STEPS["train_generator"],
            config,
            {"patches": trained[0].parent / "patches", "generator": tmp_path / "generator"},
        )
    assert not (tmp_path / "generator").exists()
    of_the_agent = process_peak().host / GIB
    assert meter.read().peak_memory_gib > of_the_agent + 0.3, "both processes, which imported torch, are counted"
