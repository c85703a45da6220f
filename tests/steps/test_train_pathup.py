"""The method `pathup` in `train_generator`: from latents to a generator of its own, and what it refuses."""

import signal

import numpy as np
import pytest
import torch
from processes import kill_at_call, run_process
from slides_of_patients import CLASSES, write_patients
from steps.two_pictures import make_extractor

from histoforge.autoencoder.latents import LatentSet
from histoforge.core.errors import ModelError, PatchSetError, SettingsError
from histoforge.generators.loading import draw, load_generator
from histoforge.generators.pathup import train as pathup
from histoforge.patches import PatchSet
from histoforge.steps import train_autoencoder, train_generator
from histoforge.steps.train_autoencoder_config import TrainAutoencoderConfig
from histoforge.steps.train_generator_config import TrainGeneratorConfig
from histoforge.tasks.plan_benchmark import plan_benchmark
from histoforge.training.model_files import read_model_info

AUTOENCODER = {
    "channels": 8,
    "levels": 2,
    "latent_channels": 2,
    "attention": False,
    "batch_size": 8,
    "epochs": 1,
    "epoch_steps": 2,
    "device": "cpu",
    "precision": "float32",
}
SETTINGS = {
    "method": "pathup",
    "unet_channels": 8,
    "levels": 2,
    "level_blocks": 1,
    "batch_size": 4,
    "epochs": 2,
    "epoch_steps": 2,
    "sampling_steps": 2,
    "fid_samples": 4,
    "select_from_epoch": 2,
    "checkpoint_every": 1,
    "flips": True,
    "device": "cpu",
}


def settings(**values):
    return TrainGeneratorConfig.make({**SETTINGS, **values})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The step's inputs by keyword."""
    folder = tmp_path_factory.mktemp("data")
    patches = write_patients(folder / "patches")
    outputs = {"autoencoder": folder / "autoencoder", "latents": folder / "latents"}
    overviews = write_patients(folder / "overviews", patches=1, overview_shrink=4)
    train_autoencoder.run(TrainAutoencoderConfig.make(AUTOENCODER), patches=patches, overviews=overviews, **outputs)
    return {"patches": patches, **outputs}


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    extractor = make_extractor(out / "extractor")
    return out / "generator", train_generator.run(settings(), **data, extractor=extractor, generator=out / "generator")


def test_writes_a_generator_that_draws_without_its_inputs(trained, data):
    out, summary = trained
    info = read_model_info(out, "generator")
    assert info.digests["patches"] == PatchSet.open(data["patches"]).digest
    assert info.digests["latents"] == LatentSet.open(data["latents"]).info.digest
    assert info.digests["autoencoder"] == read_model_info(data["autoencoder"]).digest
    assert info.config["autoencoder"]["block_out_channels"] == [8, 16]
    assert info.config["image_size"] == [64, 64]
    generator = load_generator(out, "cpu")
    labels = np.array([0, 1, 1])
    drawn = draw(generator, labels, seed=1)
    assert drawn.shape == (3, 16, 16, 3)
    np.testing.assert_array_equal(drawn, draw(load_generator(out, "cpu"), labels, seed=1))
    overviews = generator.sample_level(torch.from_numpy(labels), 1, torch.Generator().manual_seed(0))
    assert overviews.shape == (3, 3, 16, 16)
    assert summary.fid is not None
    assert summary.stages == ["16x16"]


def test_the_leak_probe_is_in_the_training_record(trained):
    out, summary = trained
    figures = read_model_info(out).training["figures"]
    assert figures == summary.figures
    assert set(figures) == {"class_from_image", "class_with_prompt", "class_by_chance"}
    assert all(0 <= share <= 1 for share in figures.values())


def test_refuses_to_train_without_latents(data, tmp_path):
    for missing in ("autoencoder", "latents"):
        inputs = {name: path for name, path in data.items() if name != missing}
        with pytest.raises(SettingsError, match="'pathup' trains on latents: pass the outputs of train_autoencoder"):
            train_generator.run(settings(), **inputs, generator=tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_refuses_latents_of_other_patches_and_another_autoencoder(data, tmp_path):
    other = write_patients(tmp_path / "other", patches=5)
    with pytest.raises(PatchSetError, match="encoded from another patch set"):
        train_generator.run(settings(), **{**data, "patches": other}, generator=tmp_path / "g")
    outputs = {"autoencoder": tmp_path / "autoencoder", "latents": tmp_path / "latents"}
    train_autoencoder.run(TrainAutoencoderConfig.make({**AUTOENCODER, "seed": 1}), patches=data["patches"], **outputs)
    with pytest.raises(PatchSetError, match="encoded by another autoencoder"):
        train_generator.run(settings(), **{**data, "autoencoder": outputs["autoencoder"]}, generator=tmp_path / "g")
    with pytest.raises(ModelError, match="is an autoencoder, but a classifier is needed"):
        train_generator.run(settings(), **data, extractor=data["autoencoder"], generator=tmp_path / "g")
    with pytest.raises(SettingsError, match="latents of 2 px cannot make patches of 16x16 px.*multiples of 32"):
        train_generator.run(settings(levels=5), **data, generator=tmp_path / "g")


def test_other_methods_ignore_latents(tmp_path, data):
    values = {
        "method": "dcgan",
        "only_class": CLASSES[0],
        "generator_maps": 4,
        "discriminator_maps": 4,
        "device": "cpu",
    }
    patches = write_patients(tmp_path / "patches", size=32)
    config = TrainGeneratorConfig.make(
        {**values, "batch_size": 4, "epochs": 1, "epoch_steps": 1, "select_from_epoch": 1}
    )
    train_generator.run(config, **{**data, "patches": patches}, generator=tmp_path / "g")
    assert set(read_model_info(tmp_path / "g").digests) == {"patches"}


def test_a_benchmark_without_latents_refuses_it():
    with pytest.raises(SettingsError, match="'pathup' trains on latents, .* leave 'pathup:none' out of 'methods'"):
        plan_benchmark(["pathup:none"], 1, 0, "", {})


def train_and_die(data, out, die_at):
    """Run the step, and kill the process at the given loss (0 for none)."""
    kill_at_call(pathup, "reconstruction_loss", die_at)
    train_generator.run(settings(precision="auto"), **data, generator=out)


def test_a_training_that_was_killed_ends_with_the_same_bytes(tmp_path, data):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = run_process(tmp_path / "log", train_and_die, data, whole, 0)
    assert undisturbed.code == 0, undisturbed.stderr
    ended = run_process(tmp_path / "log", train_and_die, data, killed, 3)
    assert ended.code == -signal.SIGKILL, ended.stderr
    ended = run_process(tmp_path / "log", train_and_die, data, killed, 0)
    assert "resumes after step 2" in ended.stderr
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert read_model_info(killed).training["figures"] == read_model_info(whole).training["figures"]
