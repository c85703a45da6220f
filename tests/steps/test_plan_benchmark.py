"""The generators of a benchmark."""

import json

import pytest
from PIL import Image
from scoring_parts import write_generator

from histoforge.core.errors import ModelError, SettingsError, SourceError, StorageError
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


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A real source, and what somebody else made; no file is read further than its name and its description."""
    folder = tmp_path_factory.mktemp("places")
    for path in ("real/dark/a.png", "real/light/a.png", "dcgan/dark/a.png", "dcgan/light/a.png", "one/dark/a.png"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(folder / path)
    for name, kind in (("dit", "DiTPipeline"), ("flux", "FluxPipeline")):
        (folder / name).mkdir()
        (folder / name / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    write_generator(folder / "own")
    return folder


def enter(places, *names, patch_size="16"):
    entrants = [str(places / name) for name in names]
    settings = {"train_generator.epochs": 3, "import_generator.steps": 4}
    source = str(places / "real")
    return plan(["ddpm"], seed=2, overrides=settings, patch_size=patch_size, source=source, entrants=entrants)


def test_entrants_follow_the_methods_each_with_the_step_that_imports_it(places):
    trained, *entered = enter(places, "dcgan", "dit", "own")
    assert (trained["step"], trained["overrides"]) == ("train_generator", {"train_generator.epochs": 3})
    assert [run["step"] for run in entered] == ["import_patches", "import_generator", "import_generator"]
    assert [run["title"] for run in entered] == ["dcgan", "dit", "own"]
    assert [run["overrides"] for run in entered] == [{}, *[{"import_generator.steps": 4}] * 2]
    assert entered[0]["source"] == str(places / "dcgan")
    assert len({run["digest"] for run in entered}) == 3
    assert all(run.keys() == trained.keys() and run["seed"] == 2 for run in entered)


def test_an_entrant_never_has_the_name_of_another_run(places):
    runs = plan(["dcgan"], patch_size="64", source=str(places / "real"), entrants=[str(places / "dcgan")] * 2)
    assert [run["title"] for run in runs] == ["dcgan", "dcgan_2", "dcgan_3"]


@pytest.mark.parametrize(
    ("name", "size", "error", "sentence"),
    [
        ("nowhere", "16", StorageError, "There is nothing at"),
        ("one", "16", SourceError, "has no image of the class 'light'"),
        ("flux", "16", ModelError, "is a FluxPipeline, and supported are DDPMPipeline, DDIMPipeline and DiTPipeline"),
        ("own", "32", ModelError, "patches of 16x16 px, and the source has 32x32 px"),
    ],
)
def test_an_entrant_that_does_not_fit_is_refused(places, name, size, error, sentence):
    with pytest.raises(error, match=sentence):
        enter(places, name, patch_size=size)


def test_entrants_are_a_list_and_count_as_generators(places):
    with pytest.raises(SettingsError, match="give a list of locations"):
        plan(["dcgan"], entrants="vendor/tiles")
    with pytest.raises(SettingsError, match=f"and 1 entrant are {MOST_RUNS + 1} generators"):
        plan(["dcgan"], seeds=MOST_RUNS, entrants=["vendor/tiles"])
