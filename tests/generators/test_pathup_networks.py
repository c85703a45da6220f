"""The networks of PathUp: guidance, conditions, and the predictions of noise and of clean latents."""

import pytest
import torch

from histoforge.autoencoder.architecture import Architecture
from histoforge.autoencoder.network import Autoencoder
from histoforge.core.errors import SettingsError
from histoforge.generators.pathup.conditions import conditions_of, null_condition
from histoforge.generators.pathup.config import PathupConfig
from histoforge.generators.pathup.diffusion import GAMMA, add_noise, noise_of, reconstruction_loss
from histoforge.generators.pathup.geometry import check_size
from histoforge.generators.pathup.network import PathupNetwork
from histoforge.generators.pathup.trained import TrainedPathup
from histoforge.training.model_files import ModelInfo

ARCHITECTURE = Architecture(block_out_channels=(8, 8), layers_per_block=1, latent_channels=3, norm_num_groups=4)
SETTINGS = {"unet_channels": 8, "levels": 2, "level_blocks": 1, "precision": "float32", "sampling_steps": 3}
CPU = torch.device("cpu")


def trained(**values):
    torch.manual_seed(0)
    config = PathupConfig.make({**SETTINGS, **values})
    info = ModelInfo(
        kind="generator", method="pathup", config=config.model_dump(), classes=["a", "b", "c"], patch_size=(16, 16)
    )
    network = PathupNetwork(config, 3, 3, (8, 8)).eval()
    return TrainedPathup(info, config, network, Autoencoder(ARCHITECTURE).eval(), CPU)


@pytest.fixture(scope="module")
def noisy():
    rng = torch.Generator().manual_seed(1)
    return torch.randn(4, 3, 8, 8, generator=rng), torch.tensor([0, 300, 600, 999])


def test_guidance_of_1_is_the_conditional_prediction_and_others_lie_on_the_line_to_the_empty_one(noisy):
    generator = trained()
    conditions = generator.condition(torch.tensor([0, 1, 2, 0]), 1)
    with torch.inference_mode():
        conditional = generator.network(*noisy, conditions)[0]
        empty = generator.network(*noisy, torch.full((4,), null_condition(3)))[0]
    torch.testing.assert_close(generator.predict_noise(*noisy, conditions), conditional)
    assert (conditional - empty).abs().max() > 1e-3
    generator.set_guidance(2.5)
    torch.testing.assert_close(generator.predict_noise(*noisy, conditions), empty + 2.5 * (conditional - empty))


def test_a_network_of_clean_latents_gives_the_noise_between_them_and_the_noisy_ones(noisy):
    generator = trained(target="image")
    conditions = torch.tensor([0, 1, 2, 3])
    noise = generator.predict_noise(*noisy, conditions)
    with torch.inference_mode():
        clean = generator.network(*noisy, conditions)[0]
    signal = generator.alphas_cumprod[noisy[1]]
    torch.testing.assert_close(add_noise(clean, noise, signal), noisy[0], rtol=1e-4, atol=1e-4)


def test_the_loss_of_the_noise_is_that_of_the_clean_latents_weighted_by_their_signal_to_noise_ratio():
    rng = torch.Generator().manual_seed(2)
    latents, noise, guess = (torch.randn(5, 3, 4, 4, generator=rng, dtype=torch.float64) for _ in range(3))
    signal = torch.tensor([0.05, 0.3, 0.5, 0.7, 0.8], dtype=torch.float64)  # SNR up to 4, below the limit
    implied = noise_of(guess, add_noise(latents, noise, signal), signal)
    losses = [
        reconstruction_loss(guess, latents, noise, signal, "image"),
        reconstruction_loss(implied, latents, noise, signal, "noise"),
    ]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=0)
    almost_clean = torch.full((5,), 0.999)
    limited = reconstruction_loss(guess, latents, noise, almost_clean, "image")
    torch.testing.assert_close(limited, GAMMA * (guess - latents).square().mean(), check_dtype=False)


def test_conditions_are_classes_by_levels_and_without_alignment_classes_alone():
    labels = torch.tensor([0, 1, 6])
    assert conditions_of(labels, 0, "prompt").tolist() == [0, 2, 12]
    assert conditions_of(labels, torch.tensor([1, 0, 1]), "entropy").tolist() == [1, 2, 13]
    assert conditions_of(labels, 1, "none").tolist() == [0, 2, 12]
    assert null_condition(7) == 14


def test_draws_both_levels_of_each_class_from_equal_noise():
    generator = trained()
    labels = torch.tensor([0, 2])
    patches, again, overviews = (
        generator.sample_level(labels, level, torch.Generator().manual_seed(3)) for level in (0, 0, 1)
    )
    assert patches.shape == (2, 3, 16, 16)
    torch.testing.assert_close(patches, again, rtol=0, atol=0)
    assert not torch.equal(patches, overviews)
    assert patches.abs().max() <= 1


def test_refuses_guidance_and_levels_that_it_was_not_trained_for():
    generator = trained(condition_dropout=0, spatial_levels="patch")
    with pytest.raises(SettingsError, match="guidance=2 needs a generator that was also trained without conditions"):
        generator.set_guidance(2)
    with pytest.raises(SettingsError, match="trained on patches alone"):
        generator.condition(torch.tensor([0]), 1)
    with pytest.raises(SettingsError, match="set condition_dropout above 0, or guidance to 1"):
        PathupConfig.make({"guidance": 2, "condition_dropout": 0})


def test_refuses_patches_whose_latents_cannot_be_halved():
    config = PathupConfig.make({"levels": 3})
    check_size(config, (64, 96), factor=8)
    with pytest.raises(SettingsError, match="48x64 px.*multiples of 32: preprocess to 32x64 or 64x64 px"):
        check_size(config, (48, 64), factor=8)
