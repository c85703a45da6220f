"""The step `train_upscaler`: both methods learn, resume after a kill, and enlarge overviews; every user error."""

import shutil
import signal

import numpy as np
import pytest
import torch
from command_line import call
from processes import kill_at_call, run_process
from random_vgg import write_random_vgg
from recorded_losses import recorded_losses
from slides_of_patients import write_patients
from steps.two_pictures import make_extractor, read_png
from untrained_pathup import save_pathup

from histoforge.core.errors import ModelError, PatchSetError, SettingsError, TrainingError
from histoforge.core.settings import preset_names
from histoforge.metrics.seams import seam_energy
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.steps import synthesise_images, train_autoencoder, train_upscaler
from histoforge.steps.settings import step_config
from histoforge.steps.synthesise_images_config import SynthesiseImagesConfig
from histoforge.steps.table import STEPS
from histoforge.steps.train_autoencoder_config import TrainAutoencoderConfig
from histoforge.steps.train_upscaler_config import TrainUpscalerConfig
from histoforge.training.log import read_log
from histoforge.training.model_files import read_model_info
from histoforge.upscaling import pairs
from histoforge.upscaling.trained import load_upscaler

CPU = torch.device("cpu")
SETTINGS = {
    "scale": 2, "crop": 32, "channels": 16, "levels": 2, "level_blocks": 1, "target": "image", "sampling_steps": 8,
    "blocks": 1, "growth": 8, "critic_channels": 4, "l1_epochs": 1, "batch_size": 4, "epochs": 2, "epoch_steps": 2,
    "learning_rate": 3e-3, "ema_decay": 0.9, "checked": 4, "device": "cpu", "precision": "float32",
    "checkpoint_every": 2,
}  # fmt: skip
METHODS = ("latent_sr", "bsrgan")


def settings(method, **values):
    return TrainUpscalerConfig.make({**SETTINGS, "method": method, **values})


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    """Two pictures, pale rows and dark columns of 1 px, which vanish when they are shrunk."""
    path = tmp_path_factory.mktemp("stripes") / "patches"
    even = np.arange(32) % 2 == 0
    rows, columns = np.where(even[:, None], 230, 130), np.where(even, 130, 30)
    images = np.stack([np.broadcast_to(picture, (32, 32)) for picture in (rows, columns)])
    images = images[..., None].repeat(3, -1).astype(np.uint8)
    with PatchSetWriter.create(path, ["a", "b"], (32, 32), 0.5) as writer:
        for split in ("train", "val"):
            for label in (0, 1):
                writer.add(images[[label]].repeat(2, 0), label=label, patient=f"{split}{label}", split=split, mpp=0.5)
        writer.finish(made_by={"step": "test"})
    return path


@pytest.fixture(scope="module")
def autoencoder(stripes, tmp_path_factory):
    out = tmp_path_factory.mktemp("autoencoder")
    config = TrainAutoencoderConfig.make({
        "channels": 16, "levels": 2, "latent_channels": 4, "attention": False, "batch_size": 2, "epochs": 1,
        "epoch_steps": 160, "learning_rate": 5e-3, "flips": False, "device": "cpu", "precision": "float32",
    })  # fmt: skip
    train_autoencoder.run(config, patches=stripes, autoencoder=out / "autoencoder", latents=out / "latents")
    return out / "autoencoder"


def train(method, patches, autoencoder, out, **values):
    return train_upscaler.run(
        settings(method, **values),
        patches=patches,
        autoencoder=autoencoder if method == "latent_sr" else None,
        upscaler=out,
    )


@pytest.fixture(scope="module")
def trained(stripes, autoencoder, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    length = {
        "latent_sr": {"epoch_steps": 40, "batch_size": 2},
        "bsrgan": {"epoch_steps": 30, "degradation": "bicubic"},
    }
    return out, {m: train(m, stripes, autoencoder, out / m, flips=False, **length[m]) for m in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_on_images_that_it_has_seen_an_upscaler_beats_bicubic_interpolation(trained, method):
    out, summaries = trained
    summary, info = summaries[method], read_model_info(out / method, "upscaler")
    error = summary.error["bicubic"]
    assert error.psnr > error.bicubic_psnr + 2
    assert error.ssim > error.bicubic_ssim
    assert (error.images, summary.crop, summary.degradation) == (4, 32, "bicubic")
    assert info.training["error"]["bicubic"]["bicubic_psnr"] == error.bicubic_psnr
    assert (info.method, info.digest, info.patch_size, info.mpp) == (method, summary.digest, (32, 32), 0.5)
    assert ("autoencoder" in info.digests) == (method == "latent_sr") == (summary.reconstruction_psnr is not None)
    assert read_png(out / method / "pictures" / "bicubic.png").std() > 0
    assert not list(out.rglob("checkpoint-*"))


def test_the_discriminator_takes_part_after_the_first_epochs(trained):
    lines = read_log(trained[0] / "bsrgan-training" / "training.jsonl")
    assert set(lines[0]) == {"step", "epoch", "error"}
    assert set(lines[-1]) == {"step", "epoch", "error", "adversarial", "critic"}
    assert "without a perceptual term" in trained[1]["bsrgan"].warnings[0]


def test_the_loss_contains_the_perceptual_distance(stripes, tmp_path, monkeypatch):
    losses = recorded_losses(monkeypatch)
    weights = {"lpips_weights": str(write_random_vgg(tmp_path / "vgg16.pth")), "perceptual_weight": 3.0}
    train("bsrgan", stripes, None, tmp_path / "upscaler", epochs=1, epoch_steps=1, l1_epochs=0, **weights)
    (line,) = read_log(tmp_path / "upscaler-training" / "training.jsonl")
    assert line["perceptual"] > 0
    generator_loss = line["error"] + 0.1 * line["adversarial"] + 3 * line["perceptual"]
    assert losses == [pytest.approx(generator_loss), pytest.approx(line["critic"])]


def test_an_upscaler_that_learned_from_degraded_images_is_compared_on_these_too(stripes, tmp_path):
    summary = train("bsrgan", stripes, None, tmp_path / "upscaler", epochs=1)
    assert set(summary.error) == {"bicubic", "bsrgan"}
    assert summary.error["bsrgan"].bicubic_psnr < summary.error["bicubic"].bicubic_psnr
    assert (tmp_path / "upscaler" / "pictures" / "bsrgan.png").is_file()


@pytest.mark.parametrize("method", METHODS)
def test_a_large_image_is_enlarged_by_windows_without_seams(trained, method):
    upscaler = load_upscaler(trained[0] / method, CPU, torch.float32)
    y, x = np.mgrid[:64, :48]
    image = (128 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7))[..., None].repeat(3, 2).astype(np.uint8)
    done = []
    enlarged = upscaler.upscale(image, torch.Generator().manual_seed(0), advance=done.append, batch_size=4)
    assert enlarged.shape == (128, 96, 3)
    assert (len(done), sum(done)) == (upscaler.steps, 35 * upscaler.steps)  # 7 x 5 windows
    assert seam_energy(enlarged[None], range(16, 128, 16), range(16, 96, 16), grid=upscaler.factor) < 1.5


def train_and_die(method, patches, autoencoder, out, die_at):
    """Run the step, and kill the process at the given batch (0 for none)."""
    kill_at_call(pairs, "flipped", die_at)
    train(method, patches, autoencoder, out, precision="auto", sampling_steps=1)


@pytest.mark.parametrize("method", METHODS)
def test_a_training_that_was_killed_ends_with_the_same_bytes(method, stripes, autoencoder, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_and_die_here = (method, stripes, autoencoder)
    assert run_process(tmp_path / "log", train_and_die, *train_and_die_here, whole, 0).code == 0
    assert run_process(tmp_path / "log", train_and_die, *train_and_die_here, killed, 4).code == -signal.SIGKILL
    assert not killed.exists()
    ended = run_process(tmp_path / "log", train_and_die, *train_and_die_here, killed, 0)
    assert ended.code == 0, ended.stderr
    assert "upscaler: resumes after step 2" in ended.stderr
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert read_model_info(killed).training == read_model_info(whole).training


def test_a_loss_that_is_not_finite_stops_the_training(stripes, tmp_path, monkeypatch):
    monkeypatch.setitem(pairs.DEGRADATIONS, "bicubic", lambda images, scale, rng: images[..., ::2, ::2] * float("nan"))
    with pytest.raises(TrainingError, match="a loss was not finite at step 1"):
        train("bsrgan", stripes, None, tmp_path / "upscaler", degradation="bicubic")
    assert not (tmp_path / "upscaler").exists()


def test_a_method_on_latents_needs_an_autoencoder(stripes, tmp_path):
    with pytest.raises(SettingsError, match="works on latents: pass the output of train_autoencoder as --autoencoder"):
        train("latent_sr", stripes, None, tmp_path / "upscaler")
    with pytest.raises(ModelError, match="is a classifier, but an autoencoder is needed here"):
        train("latent_sr", stripes, make_extractor(tmp_path / "classifier"), tmp_path / "upscaler")
    assert not (tmp_path / "upscaler").exists()


@pytest.mark.parametrize(
    ("method", "values", "message"),
    [
        ("latent_sr", {"levels": 6}, "needs multiples of 64 px, at least 64 px: raise crop"),
        ("bsrgan", {"crop": 16}, "crop=16 makes crops of 16 px, and the network needs .* 2 px, at least 24 px"),
    ],
)
def test_images_too_small_for_the_network_are_refused(method, values, message, stripes, autoencoder, tmp_path):
    with pytest.raises(PatchSetError, match=message):
        train(method, stripes, autoencoder, tmp_path / "upscaler", **values)


def test_the_command_trains_and_refuses_with_one_sentence(stripes, tmp_path, capsys):
    given = {**SETTINGS, "epochs": 1, "checked": 1, "method": "bsrgan"}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if name != "scale"]
    command = ["train-upscaler", "--patches", stripes, "--out", tmp_path / "upscaler", *options]
    refused = call(capsys, *command, "--scale", "6")
    assert refused.code == 2
    assert "2, 4 or 8" in refused.err.strip().splitlines()[-1]
    assert call(capsys, *command, "--scale", "2").code == 0
    assert read_model_info(tmp_path / "upscaler", "upscaler").config["scale"] == 2
    assert step_config(STEPS["train_upscaler"], "", {"train_upscaler.scale": 8.0}).scale == 8


def test_patches_without_validation_images_are_refused(autoencoder, tmp_path):
    patches = write_patients(tmp_path / "patches", patients=(2, 0, 0), patches=1, size=32)
    with pytest.raises(PatchSetError, match="no patches in its 'val' split"):
        train("bsrgan", patches, autoencoder, tmp_path / "upscaler")


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("method", METHODS)
def test_every_preset_has_valid_settings(preset, method):
    config = step_config(STEPS["train_upscaler"], preset, {}, {"method": method})
    assert config.method == method
    assert method == "latent_sr" or config.l1_epochs < config.epochs


def synthesise(generator, out, model=None, **values):
    config = {"size": "64", "images_per_class": 1, "device": "cpu", "precision": "float32", "upscaler": "trained"}
    return synthesise_images.run(
        SynthesiseImagesConfig.make({**config, **values}),
        generator=generator,
        upscaler_model=model,
        images=out / "images",
        slides=out / "slides",
    )


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    path = tmp_path_factory.mktemp("generator") / "generator"
    save_pathup(path)
    return path


@pytest.mark.parametrize("method", METHODS)
def test_large_images_are_overviews_enlarged_by_an_upscaler(trained, generator, method, tmp_path):
    summary = synthesise(generator, tmp_path, trained[0] / method)
    images = PatchSet.open(tmp_path / "images")
    assert images.patch_size == (64, 64)
    assert summary.upscaler == images.info.made_by["upscaler"] == read_model_info(trained[0] / method).digest
    assert images.info.made_by["upscaled_by"] == method
    assert (summary.windows, summary.steps) == (9, 8 if method == "latent_sr" else 1)
    assert images.index["seams"].notna().all()
    synthesise(generator, tmp_path / "bicubic", upscaler="bicubic")
    bicubic = PatchSet.open(tmp_path / "bicubic" / "images").images().astype(int)
    difference = np.abs(images.images() - bicubic).mean()
    assert difference > 0
    assert difference < 40 or method == "latent_sr"  # the same overviews; its autoencoder knows no colours


def test_an_upscaler_that_does_not_fit_is_refused(trained, generator, stripes, tmp_path):
    upscaler = trained[0] / "bsrgan"
    save_pathup(tmp_path / "coarse", mpp=2.0)
    train("bsrgan", write_patients(tmp_path / "large", patches=1, size=64), None, tmp_path / "wide", crop=128, epochs=1)
    for given, model, values, error, message in (
        (generator, None, {}, SettingsError, "upscaler=trained needs a model: pass the output of train_upscaler"),
        (generator, upscaler, {"upscaler": "tracking"}, SettingsError, "upscaler=tracking does not use the model"),
        (generator, upscaler, {"size": "128"}, SettingsError, "32x32 px by 2, to 64x64 px, and not to 128x128 px"),
        (generator, given_kind(tmp_path), {}, ModelError, "is a classifier, but an upscaler is needed here"),
        (tmp_path / "coarse", upscaler, {}, ModelError, "on images of 0.5 um/px, and the generator's patches have 2"),
    ):
        with pytest.raises(error, match=message):
            synthesise(given, tmp_path / "out", model, **values)
    assert not (tmp_path / "out").exists()


def given_kind(folder):
    return make_extractor(folder / "classifier")


def test_a_damaged_upscaler_is_refused(trained, generator, tmp_path):
    shutil.copytree(trained[0] / "bsrgan", tmp_path / "damaged")
    weights = tmp_path / "damaged" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="model.safetensors is missing or damaged"):
        synthesise(generator, tmp_path / "out", tmp_path / "damaged")
