"""The presets of `train_generator`: what the paper says, and that each one fits its patches."""

import pytest

from histoforge.generators.dcgan.geometry import doublings
from histoforge.generators.dcgan.network import DcganDiscriminator, DcganGenerator
from histoforge.generators.histogan.critic import HistoganCritic
from histoforge.generators.histogan.generator import HistoganGenerator
from histoforge.generators.histogan.geometry import Geometry
from histoforge.generators.methods import METHODS
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS
from histoforge.steps.train_generator_config import method_config


def preset(name, method="histogan"):
    return method_config(step_config(STEPS["train_generator"], name, {}, {"method": method}))


def millions(network):
    return sum(p.numel() for p in network.parameters()) / 1e6


@pytest.mark.parametrize(
    ("name", "patch_size", "classes", "stages", "batch_size"),
    [("paper-cervical", (256, 128), 4, 3, 64), ("paper-pcam", (96, 96), 2, 2, 256)],
)
def test_the_papers_settings_are_those_of_section_4_2(name, patch_size, classes, stages, batch_size):
    config = preset(name)
    geometry = Geometry.of(config, patch_size)
    assert geometry.stages == stages
    published = {
        "batch_size": batch_size,
        "epochs": 1000,
        "learning_rate": 2e-4,
        "gp_weight": 50,
        "critic_norm": "cbn",
        "select_from_epoch": 100,
        "fid_every": 1,
        "fid_alpha": 0.5,
        "up_blocks": 4,
        "minibatch_discrimination": True,
    }
    assert {key: getattr(config, key) for key in published} == published
    generator = HistoganGenerator(config, geometry, classes)
    critics = [HistoganCritic(config, geometry, stage, classes) for stage in range(stages)]
    assert generator.embed.weight.shape == (128 + classes, 512, *geometry.base)
    assert [len(generator.first), len(generator.later), len(critics)] == [4, stages - 1, stages]
    expected = {"paper-cervical": (2.51, 40.99), "paper-pcam": (2.38, 23.99)}[name]
    assert (millions(generator), sum(map(millions, critics))) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("size", [32, 48, 64, 96, 128, 224])
@pytest.mark.parametrize("name", ["demo", "quickstart"])
def test_the_small_presets_fit_usual_patch_sizes(name, size):
    if name == "demo" and size > 64:
        pytest.skip("the demo has small patches")
    geometry = Geometry.of(preset(name), (size, size))
    assert min(geometry.base) >= 2
    assert geometry.sizes[-1] == (size, size)


GANS = [name for name, method in METHODS.items() if "generator_maps" in method.config_class.model_fields]


@pytest.mark.parametrize("method", GANS)
def test_the_guide_papers_settings_are_those_of_section_iv(method):
    config = preset("paper-rleo", method)
    published = {
        "epochs": 200,
        "batch_size": 128,
        "z_dim": 100,
        "learning_rate": 2e-4,
        "beta1": 0.5,
        "generator_maps": 64,
        "discriminator_maps": 64,
        "discriminator_norm": "batch",
        "ema_decay": 0,
        "diff_augment": "",
        "max_patches": 100_000,
    }
    assert {key: getattr(config, key) for key in published} == published
    improved = method in ("improved_dcgan", "rleo")
    assert (config.clip, config.clip_at) == ("value" if improved else "none", 0.1)
    assert getattr(config, "real_target", None) == {True: 0.9, False: 1.0 if method == "dcgan" else None}[improved]
    generator = DcganGenerator(config, (64, 64), 4)
    discriminator = DcganDiscriminator(config, (64, 64), 4)
    assert generator.base == (4, 4, 512)
    assert (millions(generator), millions(discriminator)) == pytest.approx((3.577, 2.766), abs=1e-3)


def test_the_guide_papers_split_is_70_to_30_besides_a_test_split():
    train, val, test = step_config(STEPS["preprocess"], "paper-rleo", {}, {"source": "slides"}).ratios
    assert train / (train + val) == pytest.approx(0.7)
    assert test == pytest.approx(9_000 / 45_000)


def test_no_critic_is_batch_normalised_in_the_sane_preset_where_its_paper_has_none():
    assert preset("sane", "wgan_gp").discriminator_norm == "layer"
    assert preset("sane", "sngan").discriminator_norm == "none"
    assert preset("sane", "dcgan").discriminator_norm == "batch"


@pytest.mark.parametrize("name", ["demo", "quickstart"])
@pytest.mark.parametrize("method", GANS)
def test_the_small_presets_are_small(name, method):
    config = preset(name, method)
    assert config.epochs * config.epoch_steps <= 3000
    assert millions(DcganGenerator(config, (64, 64), doublings((64, 64), method))) < 2.5
