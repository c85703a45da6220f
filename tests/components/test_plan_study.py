"""The arms of an augmentation study."""

import pytest

from histoforge.core.errors import SettingsError
from histoforge.evaluation.arm_factors import arm_factors
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.tasks.plan_folds import plan_generators
from histoforge.tasks.plan_study import plan_cells, plan_fractions, plan_real_arms


def test_cells_are_all_ratios_and_pools_that_go_together():
    cells = plan_cells([1, 0.4], [8, 0.5, 2])
    assert [(cell["ratio"], cell["pool_multiple"]) for cell in cells] == [
        (0.4, 0.5),
        (0.4, 2),
        (1, 2),
        (0.4, 8),
        (1, 8),
    ]
    assert cells[1]["arm"] == "selective_r0_4_pool2n"
    assert cells[1]["factors"] == ["kind=selective", "ratio=0.4", "pool=2"]
    assert len({cell["arm"] for cell in cells}) == len(cells)


def test_fractions_name_two_arms_each():
    first, second = plan_fractions([0.03, 0.5])
    assert first == {
        "train_fraction": 0.03,
        "baseline": "baseline_3pct",
        "baseline_factors": ["kind=baseline", "fraction=0.03"],
        "selective": "selective_3pct",
        "selective_factors": ["kind=selective", "fraction=0.03"],
    }
    assert (second["train_fraction"], second["selective"]) == (0.5, "selective_50pct")


def test_planned_factors_equal_those_that_names_of_earlier_versions_gave():
    for plan, name in ((plan_cells([0.4], [2])[0], "arm"), (plan_fractions([0.1])[0], "selective")):
        factors = plan["factors" if name == "arm" else f"{name}_factors"]
        values = TrainClassifierConfig.make({"arm": plan[name], "factors": factors}).factor_values
        assert values == arm_factors({"arm": plan[name]})
        assert arm_factors({"arm": "renamed", "factors": values}) == values


@pytest.mark.parametrize("factor", ["ratio", "ratio=many", "colour=1", "fraction=-1", "kind=A"])
def test_unknown_factors_are_refused(factor):
    with pytest.raises(SettingsError, match="factors"):
        TrainClassifierConfig.make({"factors": [factor]})


def test_their_names_are_names_of_arms():
    names = [cell["arm"] for cell in plan_cells([0.125, 2 / 3], [2.5])]
    fractions = plan_fractions([0.125, 1 / 3])
    names += [name for fraction in fractions for name in (fraction["baseline"], fraction["selective"])]
    for name in names:
        assert TrainClassifierConfig.make({"arm": name}).arm == name


@pytest.mark.parametrize("values", [[], [0], [-1, 0.5], [1.5], ["many"], 0.5, [float("nan")]])
def test_wrong_fractions_are_said(values):
    with pytest.raises(SettingsError, match="'fractions'"):
        plan_fractions(values)


def test_a_pool_must_hold_what_is_kept_of_it():
    with pytest.raises(SettingsError, match="larger than each"):
        plan_cells([2], [1])


def test_arms_of_real_patches_are_augmentation_and_one_control_per_dose():
    traditional, half, full = plan_real_arms([1, 0.5], share=0.25, ratio=0.4)
    assert (traditional["arm"], traditional["augmentation"], traditional["use"]) == (
        "traditional",
        "traditional",
        "real",
    )
    assert (half["arm"], half["control_ratio"], half["factors"]) == ("control_0_5", 0.2, ["kind=control", "dose=0.5"])
    assert (full["arm"], full["control_ratio"], full["factors"], full["use"]) == ("control", 0.4, [], "control")
    for arm in (traditional, half, full):
        TrainClassifierConfig.make({name: value for name, value in arm.items() if value})


@pytest.mark.parametrize(("doses", "share"), [([], 0.25), ([0.5, 1.0], 0)])
def test_without_doses_or_held_back_patches_there_is_no_control(doses, share):
    assert [arm["arm"] for arm in plan_real_arms(doses, share, ratio=0.5)] == ["traditional"]


@pytest.mark.parametrize("doses", [[0], [-1], [21], ["much"]])
def test_wrong_doses_are_said(doses):
    with pytest.raises(SettingsError, match="control_doses"):
        plan_real_arms(doses, share=0.25, ratio=0.5)


def test_more_arms_than_one_task_can_collect_are_refused():
    assert len(plan_cells([0.5, 1], [4, 8], 10)) == 4
    with pytest.raises(
        SettingsError, match="4 combinations .* for each of 11 generators are 44 arms, and .* at most 40"
    ):
        plan_cells([0.5, 1], [4, 8], 11)
    with pytest.raises(SettingsError, match="17 folds, and a run takes at most 16"):
        plan_generators(1, 0, "", {}, {}, 17)
