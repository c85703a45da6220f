"""The order in which the settings of a command line override each other."""

import pytest

from histoforge.cli.app import build
from histoforge.cli.options import given_settings
from histoforge.cli.run.request import split_overrides
from histoforge.cli.steps import read_settings, settings_of
from histoforge.core.errors import SettingsError
from histoforge.core.settings import preset_names
from histoforge.steps.phantom_config import PhantomConfig
from histoforge.steps.settings import all_settings, step_config
from histoforge.steps.table import STEPS
from histoforge.tasks.plan_benchmark import plan_benchmark

TRAIN = STEPS["train_classifier"]
NOTHING = {"preset": "", "assignments": None, "config_file": None}


def test_options_stand_above_set_above_file_above_preset(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("description: mine\ntrain_classifier: {epochs: 7, batch_size: 9, seeds: 2}\n")
    values = {"preset": "paper-pcam", "config_file": file, "assignments": ["epochs=8", "train_classifier.seeds=3"]}
    config = settings_of(TRAIN, {**values, "epochs": "11"})
    assert (config.epochs, config.seeds, config.batch_size) == (11, 3, 9)
    assert settings_of(TRAIN, {**NOTHING, "preset": "paper-pcam"}).seeds == 5


def test_zero_and_empty_options_override_a_preset_and_only_missing_ones_do_not(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("train_generator: {seed: 3, max_steps: 7, checkpoints: somewhere}\n")
    step, values = STEPS["train_generator"], {**NOTHING, "config_file": file}
    config = settings_of(step, {**values, "seed": "0", "max_steps": "0", "checkpoints": ""})
    assert (config.seed, config.max_steps, config.checkpoints) == (0, 0, "")
    config = settings_of(step, {**values, "seed": None, "max_steps": None, "checkpoints": None})
    assert (config.seed, config.max_steps, config.checkpoints) == (3, 7, "somewhere")


def test_a_setting_of_another_step_is_left_to_it():
    config = settings_of(TRAIN, {**NOTHING, "assignments": ["train_generator.epochs=3"]})
    assert config == TRAIN.config_class()


def test_the_seeds_and_encoders_of_a_pipeline_are_its_own_and_not_those_of_each_step():
    overrides = {"seeds": 2, "downstream_seeds": 1, "epochs": 4, "patch_size": 32, "train_classifier.width": 0.5}
    for_pipeline, for_steps = split_overrides(overrides, {"seeds", "seed", "downstream_seeds", "patch_size"})
    assert for_pipeline == {"seeds": 2, "downstream_seeds": 1}
    assert for_steps == {"epochs": 4, "patch_size": 32, "train_classifier.width": 0.5}
    spaces = {"encoders": ["uni/encoder.yaml"]}
    assert split_overrides({**spaces, "train_generator.encoders": 2}, {"encoders"}) == (
        spaces,
        {"train_generator.encoders": 2},
    )
    assert plan_benchmark(["dcgan"], 2, 0, "", for_steps, for_pipeline["downstream_seeds"])


def test_lists_are_written_with_commas():
    assert given_settings(PhantomConfig, {"classes": "a, b,c", "patients": None}) == {"classes": ["a", "b", "c"]}


def test_ratios_are_no_time_of_day():
    values = {**NOTHING, "assignments": ["split_ratios=2:1:1", "source=x"]}
    assert settings_of(STEPS["preprocess"], values).split_ratios == "2:1:1"


def test_a_file_without_sections_is_refused(tmp_path):
    file = tmp_path / "list.yaml"
    file.write_text("- 1\n")
    with pytest.raises(SettingsError, match=r"list\.yaml"):
        read_settings(file)


def test_only_the_typed_command_gets_its_options():
    from typer.main import get_command

    commands = get_command(build("select-samples")).commands
    assert len(commands["select-samples"].params) > 10
    assert len(commands["preprocess"].params) <= 1


def test_empty_parameters_of_a_component_are_left_to_the_preset():
    given = {"seeds": 0, "augmentation": "", "arm": "mine"}
    config = step_config(TRAIN, "paper-pcam", {"epochs": 3.0}, given)
    assert (config.seeds, config.augmentation, config.arm, config.epochs) == (5, "none", "mine", 3)
    assert step_config(TRAIN, "paper-pcam", {}, {"seeds": 2}).seeds == 2


@pytest.mark.parametrize(("given", "seed"), [({}, 3), ({"seed": -1}, 3), ({"seed": None}, 3)])
def test_a_seed_that_is_not_given_is_left_to_the_overrides(given, seed):
    assert step_config(TRAIN, "", {"seed": 3}, given).seed == seed
    assert step_config(TRAIN, "", {}, given).seed == 0


def test_a_seed_of_0_is_given_like_any_other():
    assert step_config(TRAIN, "", {}, {"seed": 0}).seed == 0
    for seed in (0, 1):
        with pytest.raises(SettingsError, match=f"'seed' is {seed} as a parameter and 3 among the overrides"):
            step_config(TRAIN, "", {"seed": 3}, {"seed": seed})


def test_saying_a_parameter_twice_is_an_error_unless_it_is_the_same():
    assert step_config(TRAIN, "", {"seeds": 2}, {"seeds": 2}).seeds == 2
    with pytest.raises(SettingsError, match="'seeds' is 2 as a parameter and 3"):
        step_config(TRAIN, "", {"seeds": 3}, {"seeds": 2})


def test_a_name_alone_goes_to_every_step_that_has_it():
    settings = all_settings("", {"device": "cpu", "epochs": 2}, {"preprocess": {"source": "x"}})
    on_a_device = {name for name, step in STEPS.items() if "device" in step.config_class.model_fields}
    assert {name for name, config in settings.items() if getattr(config, "device", "") == "cpu"} == on_a_device
    assert settings["train_generator"].epochs == settings["train_classifier"].epochs == 2


def test_a_name_that_no_step_has_is_an_error():
    with pytest.raises(SettingsError, match=r"epoks.*did you mean 'epochs'"):
        all_settings("", {"epoks": 2}, {"preprocess": {"source": "x"}})


@pytest.mark.parametrize("preset", preset_names())
def test_each_preset_is_right_for_every_step(preset):
    weights = {"train_classifier.weights": "resnet152.pth"} if preset == "paper-rleo" else {}
    independent = {name for name, step in STEPS.items() if not step.settings_of}
    assert set(all_settings(preset, weights, {"preprocess": {"source": "x"}})) == independent


def test_the_papers_frozen_classifier_needs_weights():
    with pytest.raises(SettingsError, match="which would be random: set weights, or set trainable_layers=0"):
        all_settings("paper-rleo", {}, {"preprocess": {"source": "x"}})
