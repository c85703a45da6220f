"""The settings of `train_generator`: one class for all methods, and sections for single ones."""

from typing import get_args

import pytest

from histoforge.core.errors import SettingsError
from histoforge.core.settings import load_preset, preset_names
from histoforge.generators.methods import METHODS
from histoforge.steps.table import STEPS, step_config
from histoforge.steps.train_generator_config import TrainGeneratorConfig, method_config

STEP = STEPS["train_generator"]


def config(preset="", overrides=None, **given):
    return step_config(STEP, preset, overrides or {}, given)


def test_each_method_can_be_asked_for():
    assert list(get_args(TrainGeneratorConfig.model_fields["method"].annotation)) == list(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_said_is_the_methods_own_default(method):
    assert method_config(config(method=method)) == METHODS[method].config_class()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", preset_names())
def test_each_preset_is_right_for_each_method(preset, method):
    own = method_config(config(preset, method=method))
    section = load_preset(preset).get(f"train_generator.{method}", {})
    assert {name: getattr(own, name) for name in section} == section


@pytest.mark.parametrize("preset", preset_names())
def test_sections_of_presets_are_of_steps_and_methods(preset):
    known = {*STEPS, *(f"train_generator.{method}" for method in METHODS)}
    assert set(load_preset(preset)) <= known


def test_a_method_has_its_section_and_overrides_stand_above_it():
    assert method_config(config("quickstart")).base_channels == 128
    overrides = {"train_generator.histogan.base_channels": 64.0, "up_blocks": 2, "train_generator.epochs": 3}
    own = method_config(config("quickstart", overrides))
    assert (own.base_channels, own.up_blocks, own.epochs) == (64, 2, 3)
    assert own.critic_norm == "none"


def test_an_override_for_an_unknown_method_names_the_nearest():
    with pytest.raises(SettingsError, match=r"no method 'histogam' \(did you mean 'histogan'\?\)"):
        config("", {"train_generator.histogam.z_dim": 3})


def test_bounds_hold_for_merged_parameters():
    with pytest.raises(SettingsError, match="'z_dim' must be at least 1, not 0"):
        config("", {"z_dim": 0})
