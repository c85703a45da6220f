"""Settings, presets and overrides: the nearest name, the bounds, and what Kubeflow does to integers."""

import pytest
from pydantic import Field

from histoforge.core.errors import SettingsError
from histoforge.core.settings import StepConfig, load_preset, parse_overrides, step_values


class TrainThingConfig(StepConfig):
    epochs: int = Field(10, ge=1, description="epochs")
    rate: float = Field(0.1, gt=0, description="rate")


def test_an_unknown_parameter_names_the_nearest():
    with pytest.raises(SettingsError, match=r"train_thing has no parameter 'epoch' \(did you mean 'epochs'\?\)"):
        TrainThingConfig.make({"epoch": 3})


def test_a_value_out_of_bounds_is_one_sentence():
    with pytest.raises(SettingsError, match=r"^train_thing: 'epochs' must be at least 1, not 0\.$"):
        TrainThingConfig.make({"epochs": 0})


def test_whole_floats_become_integers_and_others_are_refused():
    assert TrainThingConfig.make({"epochs": 5.0}).epochs == 5
    with pytest.raises(SettingsError, match="epochs"):
        TrainThingConfig.make({"epochs": 5.5})


def test_infinity_is_refused():
    with pytest.raises(SettingsError, match="rate"):
        TrainThingConfig.make({"rate": float("inf")})


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(SettingsError, match="There is no preset 'quikstart'.*quickstart"):
        load_preset("quikstart")


def test_overrides_are_typed_and_addressed():
    overrides = parse_overrides(["train_thing.epochs=3", "rate=0.5", "other.epochs=9"])
    assert overrides == {"train_thing.epochs": 3, "rate": 0.5, "other.epochs": 9}
    assert step_values("train_thing", "", overrides, ["train_thing", "other"]) == {"epochs": 3, "rate": 0.5}


@pytest.mark.parametrize("assignment", ["epochs", "=3"])
def test_an_assignment_without_name_or_value_is_refused(assignment):
    with pytest.raises(SettingsError, match="NAME=VALUE"):
        parse_overrides([assignment])


def test_an_override_for_an_unknown_step_names_the_nearest():
    with pytest.raises(SettingsError, match=r"no step 'train_thin' \(did you mean 'train_thing'\?\)"):
        step_values("train_thing", "", {"train_thin.epochs": 3}, ["train_thing"])
