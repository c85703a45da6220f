"""The settings of `train_generator`: one class for all methods, and sections for single ones."""

from typing import get_args

import pytest

from histoforge.core.errors import SettingsError
from histoforge.core.settings import load_preset, preset_names
from histoforge.generators.methods import METHODS
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS
from histoforge.steps.train_generator_config import TrainGeneratorConfig, method_config

STEP = STEPS["train_generator"]


def config(preset="", overrides=None, **given):
    return step_config(STEP, preset, overrides or {}, given)


def test_every_registered_method_is_a_choice():
    assert list(get_args(TrainGeneratorConfig.model_fields["method"].annotation)) == list(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_defaults_are_those_of_the_method(method):
    assert method_config(config(method=method)) == METHODS[method].config_class()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_is_valid_for_every_method(preset, method):
    settings = method_config(config(preset, method=method))
    section = load_preset(preset).get(f"train_generator.{method}", {})
    assert {name: getattr(settings, name) for name in section} == section


@pytest.mark.parametrize("preset", preset_names())
def test_sections_of_presets_are_of_steps_and_methods(preset):
    variants = {
        f"{name}.{variant}"
        for name, step in STEPS.items()
        if (by := step.config_class.variant_by)
        for variant in get_args(step.config_class.model_fields[by].annotation)
    }
    assert {f"train_generator.{method}" for method in METHODS} <= variants
    assert set(load_preset(preset)) <= {*STEPS, *variants}


def test_overrides_take_precedence_over_the_sections_of_a_method():
    histogan = {"method": "histogan"}
    assert method_config(config("quickstart", histogan)).base_channels == 128
    overrides = {"train_generator.histogan.base_channels": 64.0, "up_blocks": 2, "train_generator.epochs": 3}
    settings = method_config(config("quickstart", {**histogan, **overrides}))
    assert (settings.base_channels, settings.up_blocks, settings.epochs) == (64, 2, 3)
    assert settings.critic_norm == "none"


def test_an_override_for_an_unknown_method_names_the_nearest():
    with pytest.raises(SettingsError, match=r"no method 'histogam' \(did you mean 'histogan'\?\)"):
        config("", {"train_generator.histogam.z_dim": 3})


def test_merged_parameters_have_bounds():
    with pytest.raises(SettingsError, match="'z_dim' must be at least 1, not 0"):
        config("", {"z_dim": 0})
