"""The step `train_autoencoder`: training, latents, resuming after a kill, given weights, and every user error."""

import json
import shutil
import signal

import numpy as np
import pytest
import torch
from processes import kill_at_call, run_process
from random_vgg import write_random_vgg
from recorded_losses import recorded_losses
from safetensors.torch import save_file
from slides_of_patients import write_patients
from steps.two_pictures import make_extractor, read_png

from histoforge.autoencoder import training
from histoforge.autoencoder.device import DeviceLatents
from histoforge.autoencoder.latents import FLIPS, LatentSet
from histoforge.autoencoder.network import load_autoencoder
from histoforge.core.errors import ModelError, PatchSetError, SettingsError
from histoforge.patches import PatchSet
from histoforge.patches.device import to_unit
from histoforge.steps import train_autoencoder
from histoforge.steps.train_autoencoder_config import TrainAutoencoderConfig
from histoforge.training.log import read_log

CPU = torch.device("cpu")
SETTINGS = {
    "channels": 8,
    "levels": 2,
    "latent_channels": 2,
    "attention": False,
    "batch_size": 8,
    "epochs": 2,
    "epoch_steps": 3,
    "learning_rate": 3e-3,
    "device": "cpu",
    "precision": "float32",
    "checkpoint_every": 2,
}


def settings(**values):
    return TrainAutoencoderConfig.make({**SETTINGS, **values})


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    return write_patients(tmp_path_factory.mktemp("data") / "patches")


@pytest.fixture(scope="module")
def overviews(tmp_path_factory):
    return write_patients(tmp_path_factory.mktemp("data") / "overviews", patches=1)


@pytest.fixture(scope="module")
def trained(patches, overviews, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    extractor = make_extractor(out / "extractor")
    summary = train_autoencoder.run(
        settings(epochs=6, epoch_steps=10),
        patches=patches,
        overviews=overviews,
        extractor=extractor,
        autoencoder=out / "autoencoder",
        latents=out / "latents",
    )
    return out, summary


def run(config, out, patches, overviews=None):
    return train_autoencoder.run(
        config, patches=patches, overviews=overviews, autoencoder=out / "autoencoder", latents=out / "latents"
    )


def test_learns_to_reconstruct_both_levels_of_held_out_patients(trained, patches, overviews, tmp_path):
    out, summary = trained
    untrained = run(settings(epochs=1, epoch_steps=1), tmp_path, patches, overviews)
    for level in ("patch", "overview"):
        assert summary.reconstruction[level].psnr > untrained.reconstruction[level].psnr + 2
        assert summary.reconstruction[level].ssim > untrained.reconstruction[level].ssim + 0.3
        assert summary.reconstruction[level].fid is not None
        assert read_png(out / "autoencoder" / "pictures" / f"{level}.png").std() > 0
    assert (summary.reconstruction["patch"].images, summary.reconstruction["overview"].images) == (36, 6)
    assert (summary.factor, summary.latent, summary.steps) == (2, (2, 8, 8), 60)
    assert "resnet10" in summary.extractor
    assert "without a perceptual term" in summary.warnings[0]
    assert not list(out.rglob("checkpoint-*"))


def test_the_loss_contains_the_perceptual_distance(patches, tmp_path, monkeypatch):
    losses = recorded_losses(monkeypatch)
    vgg = write_random_vgg(tmp_path / "vgg16.pth")
    config = settings(epochs=1, epoch_steps=1, lpips_weights=str(vgg), perceptual_weight=3.0, kl_weight=0.5)
    summary = run(config, tmp_path, patches)
    (line,) = read_log(tmp_path / "autoencoder-training" / "training.jsonl")
    assert line["perceptual"] > 0
    assert losses == [pytest.approx(line["error"] + 0.5 * line["divergence"] + 3 * line["perceptual"])]
    assert not any("perceptual" in warning for warning in summary.warnings)


def test_the_latents_are_those_of_all_training_and_validation_images_and_their_flips(trained, patches, overviews):
    out, summary = trained
    info, network = load_autoencoder(out / "autoencoder", CPU)
    latents = LatentSet.open(out / "latents")
    sets = [PatchSet.open(path) for path in (patches, overviews)]
    assert len(latents) == summary.encoded == 84 + 14
    assert np.bincount(latents.levels).tolist() == [84, 14]
    assert set(latents.index["split"]) == {"train", "val"}
    assert latents.info.digests == {"patches": sets[0].digest, "overviews": sets[1].digest, "autoencoder": info.digest}
    assert info.training["reconstruction"]["patch"]["psnr"] == summary.reconstruction["patch"].psnr
    row = 84 + 5
    kept = sets[1].index["split"].isin(["train", "val"]).to_numpy()
    image = to_unit(torch.from_numpy(sets[1].where(kept).images(slice(5, 6))).permute(0, 3, 1, 2))
    for view, axes in enumerate(FLIPS):
        expected = network.encode(image.flip(axes))[0].half()
        encoded = torch.from_numpy(np.array(latents.latents[row, view]))
        torch.testing.assert_close(encoded, expected, rtol=2e-3, atol=2e-3)
    assert abs(latents.latents[latents.rows("train")].astype(np.float32).std() - 1) < 0.1


def test_batches_of_latents_are_views_of_their_rows(trained):
    latents = LatentSet.open(trained[0] / "latents")
    data = DeviceLatents(latents, latents.rows("val"), CPU)
    batch = data.batch(torch.arange(len(data)))
    assert batch.labels.tolist() == latents.labels[latents.rows("val")].tolist()
    assert batch.levels.sum() == 6
    drawn = batch.one_view(torch.Generator().manual_seed(0))
    matches = (drawn[:, None] == batch.views.float()).flatten(2).all(2)
    assert matches.any(1).all()
    assert (matches.float().argmax(1).bincount(minlength=4) > 0).all()


def test_latents_of_other_patches_or_another_autoencoder_are_refused(trained, overviews, patches):
    out, _ = trained
    latents, data = LatentSet.open(out / "latents"), PatchSet.open(patches)
    info, _ = load_autoencoder(out / "autoencoder", CPU)
    latents.check_made_of(data, info)
    with pytest.raises(PatchSetError, match="encoded from another patch set .*: run train_autoencoder on this one"):
        latents.check_made_of(PatchSet.open(overviews), info)
    with pytest.raises(PatchSetError, match="encoded by another autoencoder .*: pass both outputs of one"):
        latents.check_made_of(data, info.model_copy(update={"digest": "0" * 64}))
    data.fold = 1
    with pytest.raises(PatchSetError, match="are of fold -1 of the patch set, and fold 1 is to be trained on"):
        latents.check_made_of(data, info)


@pytest.mark.parametrize("name", ["latents.npy", "index.parquet", "latents.json"])
def test_damaged_latents_are_refused(trained, name, tmp_path):
    shutil.copytree(trained[0] / "latents", tmp_path / "latents")
    content = bytearray((tmp_path / "latents" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "latents" / name).write_bytes(content)
    with pytest.raises(PatchSetError, match=rf"{name.replace('.', '[.]')} (is|was) .*: run train_autoencoder again"):
        LatentSet.open(tmp_path / "latents")


def test_a_folder_without_latents_is_refused(tmp_path):
    with pytest.raises(PatchSetError, match="has no latents.json"):
        LatentSet.open(tmp_path)


def train_and_die(patches, overviews, out, die_at):
    """Run the step, and kill the process at the given batch (0 for none)."""
    kill_at_call(training, "flipped", die_at)
    run(settings(precision="auto"), out, patches, overviews)


def test_a_training_that_was_killed_ends_with_the_same_bytes(tmp_path, patches, overviews):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = run_process(tmp_path / "log", train_and_die, patches, overviews, whole, 0)
    assert undisturbed.code == 0, undisturbed.stderr
    ended = run_process(tmp_path / "log", train_and_die, patches, overviews, killed, 4)
    assert ended.code == -signal.SIGKILL, ended.stderr
    assert not (killed / "latents").exists()
    ended = run_process(tmp_path / "log", train_and_die, patches, overviews, killed, 0)
    assert ended.code == 0, ended.stderr
    assert "autoencoder: resumes after step 2" in ended.stderr
    for name in ("autoencoder/model.safetensors", "latents/latents.npy", "latents/latents.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.fixture(scope="module")
def published(trained, tmp_path_factory):
    """The trained autoencoder in the layout of diffusers."""
    folder = tmp_path_factory.mktemp("vae")
    _, network = load_autoencoder(trained[0] / "autoencoder", CPU)
    save_file({name: t.contiguous() for name, t in network.vae.state_dict().items()}, folder / "vae.safetensors")
    (folder / "config.json").write_text(json.dumps(network.architecture.model_dump(mode="json")))
    return folder / "vae.safetensors"


def test_given_weights_are_used_as_they_are(trained, published, patches, overviews, tmp_path):
    summary = run(settings(weights=str(published)), tmp_path, patches, overviews)
    assert (summary.steps, summary.warnings, summary.weights) == (0, [], str(published))
    assert summary.reconstruction["patch"].psnr == trained[1].reconstruction["patch"].psnr
    info, _ = load_autoencoder(tmp_path / "autoencoder", CPU)
    assert len(info.digests["weights"]) == 64
    both = [LatentSet.open(folder / "latents").latents for folder in (tmp_path, trained[0])]
    np.testing.assert_array_equal(*both)


def test_weights_that_are_missing_or_do_not_fit_are_refused(published, patches, tmp_path):
    with pytest.raises(ModelError, match="no weights file .*other.safetensors"):
        run(settings(weights=str(tmp_path / "other.safetensors")), tmp_path, patches)
    with pytest.raises(ModelError, match=f"has the SHA-256 .*, not {'0' * 64}"):
        run(settings(weights=str(published), weights_sha256="0" * 64), tmp_path, patches)
    shutil.copy(published, tmp_path / "vae.safetensors")
    with pytest.raises(ModelError, match="no config.json beside"):
        run(settings(weights=str(tmp_path / "vae.safetensors")), tmp_path, patches)
    config = {**json.loads((published.parent / "config.json").read_text()), "latent_channels": 4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="do not fit the config.json beside them .* give both of the same model"):
        run(settings(weights=str(tmp_path / "vae.safetensors")), tmp_path, patches)
    with pytest.raises(SettingsError, match="weights_sha256 is the checksum of weights"):
        settings(weights_sha256="0" * 64)
    assert not (tmp_path / "autoencoder").exists()


def test_images_that_do_not_fit_are_refused(patches, tmp_path):
    with pytest.raises(PatchSetError, match="16x16 px.*one latent of 32 px a side.*choose fewer levels"):
        run(settings(levels=6), tmp_path, patches)
    large = write_patients(tmp_path / "large", size=32)
    with pytest.raises(PatchSetError, match="The overviews have patches of 32x32 px.*with overview_size=0"):
        run(settings(), tmp_path, patches, large)
    other = write_patients(tmp_path / "other", patients=(8, 1, 0), patches=1)
    with pytest.raises(PatchSetError, match="'p5' has training overviews, but patches in another split"):
        run(settings(), tmp_path, patches, other)
    unchecked = write_patients(tmp_path / "unchecked", patients=(4, 0, 0), patches=1)
    with pytest.raises(PatchSetError, match="no patches in its 'val' split"):
        run(settings(), tmp_path, patches, unchecked)
    assert not (tmp_path / "autoencoder").exists()
