"""The generators of a benchmark."""

import pytest

from histoforge.core.errors import SettingsError
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.tasks.plan_benchmark import MOST_RUNS, plan_benchmark, plan_classes


def plan(methods, seeds=1, seed=0, overrides=None, **more):
    return plan_benchmark(methods, seeds, seed, "", overrides or {}, **more)


def test_each_method_has_a_run_a_seed():
    runs = plan(["dcgan", "rleo:literal"], seeds=2, seed=5)
    assert [(run["title"], run["method"], run["reward"], run["seed"]) for run in runs] == [
        ("dcgan", "dcgan", "", 5),
        ("dcgan", "dcgan", "", 6),
        ("rleo:literal", "rleo", "literal", 5),
        ("rleo:literal", "rleo", "literal", 6),
    ]
    assert runs[3]["arm"] == "rleo_literal_s6"
    assert runs[3]["both"] == "rleo_literal_s6_both"


def test_the_first_seed_is_that_of_the_overrides_if_it_is_not_given():
    seeds = [run["seed"] for run in plan(["dcgan"], seed=-1, overrides={"seed": 4})]
    assert seeds == [4]
    assert [run["seed"] for run in plan(["dcgan"], seeds=2, seed=-1)] == [0, 1]
    with pytest.raises(SettingsError, match="'seed' is 0 as a parameter and 4 among the overrides"):
        plan(["dcgan"], seed=0, overrides={"seed": 4})


def test_their_arms_have_names_that_arms_may_have_and_no_two_the_same():
    runs = plan(["dcgan", "improved_dcgan", "wgan_gp", "rleo:soft_target", "ddpm"], seeds=3)
    names = [name for run in runs for name in (run["arm"], run["both"])]
    assert len(set(names)) == len(names)
    assert all(TrainClassifierConfig.make({"arm": name}) for name in names)


def test_a_method_named_twice_is_planned_once_also_where_the_reward_is_the_default():
    assert [run["title"] for run in plan(["rleo", "dcgan", "rleo:policy", "dcgan"])] == ["rleo:policy", "dcgan"]
    assert [run["title"] for run in plan(["rleo"], overrides={"train_generator.rleo.reward": "reinforce"})] == [
        "rleo:reinforce"
    ]


@pytest.mark.parametrize(
    ("methods", "sentence"),
    [
        (["dcgn"], "no method 'dcgn' .did you mean 'dcgan'"),
        (["dcgan:policy"], "the method 'dcgan' has none: write 'dcgan'"),
        (["rleo:litteral"], "'reward' must be 'literal', 'policy'"),
        ([], "give a list of names"),
        ("dcgan", "give a list of names"),
        ([3], "give a list of names"),
    ],
)
def test_wrong_methods_are_said(methods, sentence):
    with pytest.raises(SettingsError, match=sentence):
        plan(methods)


def test_more_runs_than_a_task_can_be_told_of_are_refused():
    with pytest.raises(SettingsError, match=f"a benchmark takes at most {MOST_RUNS}"):
        plan(["dcgan"], seeds=MOST_RUNS + 1)
    with pytest.raises(SettingsError, match="give at least 1"):
        plan(["dcgan"], seeds=0)


def test_what_a_later_step_would_refuse_is_said_before_the_first():
    with pytest.raises(SettingsError, match="'dcgan' has no parameter 'reward'"):
        plan(["dcgan"], overrides={"train_generator.dcgan.reward": "policy"})
    with pytest.raises(SettingsError, match="train_classifier: 'seeds' is 1 as a parameter and 2"):
        plan(["dcgan"], overrides={"train_classifier.seeds": 2}, downstream_seeds=1)


def test_a_patch_size_that_a_method_cannot_make_is_said_before_anything_is_cut():
    assert plan(["dcgan", "ddpm", "histogan"], patch_size="64")
    with pytest.raises(SettingsError, match="lsgan cannot make patches of 50x50 px.*: preprocess to 48x48 or 56x56 px"):
        plan(["lsgan"], patch_size="50")
    with pytest.raises(SettingsError, match="ddpm with levels=4 cannot make patches of 64x100 px"):
        plan(["ddpm"], overrides={"preprocess.patch_size": "64x100"})


def test_a_method_that_trains_one_network_a_class_is_planned_a_class_each():
    classes = ["benign", "invasive"]
    run = {"method": "dcgan", "reward": "", "seed": 2}
    assert plan_classes(run, classes, "", {}) == [{**run, "only_class": name} for name in classes]
    histogan = {**run, "method": "histogan"}
    assert plan_classes(histogan, classes, "", {}) == [{**histogan, "only_class": ""}]
    ddpm = {**run, "method": "ddpm"}
    assert len(plan_classes(ddpm, classes, "", {"train_generator.ddpm.by_label": False})) == 2
    assert len(plan_classes(ddpm, classes, "", {"train_generator.ddpm.by_label": True})) == 1
    assert len(plan_classes(run, classes, "", {"train_generator.only_class": "benign"})) == 1
