"""The trainings of the pipeline `unified`."""

import pytest

from histoforge.core.errors import SettingsError
from histoforge.evaluation.arm_factors import arm_title
from histoforge.generators.unified_networks import NETWORKS
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.steps.train_generator_config import method_config
from histoforge.tasks.plan_unified import plan_seeds, plan_unified

BACKBONES = ["resnet34", "resnet50_cbam", "densenet169"]


def plan(backbones=BACKBONES, ratios=(0.5, 1.0), networks=tuple(NETWORKS), two_stages="histogan", **more):
    given = {"seeds": 0, "patch_size": "64", "seed": -1, "preset": "", "overrides": {}, **more}
    return plan_unified(backbones, list(ratios), list(networks), two_stages, **given)


def test_each_backbone_is_trained_without_and_with_synthetic_patches_of_each_ratio():
    planned = plan()
    assert planned.baseline["backbone"] == "resnet34"
    assert [(arm["arm"], arm["factors"]) for arm in planned.backbones] == [
        ("resnet50_cbam", ["backbone=resnet50_cbam"]),
        ("densenet169", ["backbone=densenet169"]),
    ]
    assert [(cell["backbone"], cell["ratio"]) for cell in planned.cells] == [
        (name, ratio) for ratio in (0.5, 1.0) for name in BACKBONES
    ]
    assert planned.cells[0]["factors"] == ["backbone=resnet34", "ratio=0.5"]
    assert planned.pool_multiple == 2.0


def test_arms_are_accepted_by_the_step_and_have_titles():
    arms = [arm for part in ("backbones", "cells") for arm in plan(["timm:test_vit", *BACKBONES]).part(part)]
    configs = [TrainClassifierConfig.make({"arm": arm["arm"], "factors": arm["factors"]}) for arm in arms]
    assert len({config.arm for config in configs}) == len(configs)
    titles = [arm_title(config.arm, config.factor_values) for config in configs]
    assert titles[:2] == ["resnet34", "resnet50_cbam"]
    assert "timm:test_vit + 0.5 N" in titles


def test_networks_differ_in_the_settings_of_tables_2_and_figure_3():
    settings = {}
    for network in plan().networks:
        given = {"method": network["method"], "seed": network["seed"]}
        config = method_config(step_config(STEPS["train_generator"], "", network["overrides"], given))
        settings[network["arm"]] = (config.class_projection, config.selection, config.truncation, config.weighing)
    assert settings == {
        "vitgan": (True, True, 0.7, "exp"),
        "medvitgan": (False, False, 0.0, "exp"),
        "vitgan_cp": (True, False, 0.0, "exp"),
        "vitgan_sa": (False, True, 0.7, "exp"),
        "vitgan_log": (True, True, 0.7, "log"),
    }


def test_overrides_of_the_user_reach_every_network():
    overrides = {"train_generator.epochs": 7, "train_generator.vitgan.heads": 2, "train_classifier.epochs": 3}
    networks = plan(overrides=overrides).networks
    assert all(network["overrides"]["train_generator.epochs"] == 7 for network in networks)
    assert all("train_classifier.epochs" not in network["overrides"] for network in networks)


@pytest.mark.parametrize(("preset", "seeds"), [("quickstart", 3), ("paper-vitgan", 5)])
def test_each_network_has_as_many_seeds_as_the_arms(preset, seeds):
    network = plan(preset=preset, patch_size="96").networks[0]
    runs = plan_seeds(network["method"], network["overrides"], network["seed"], network["seeds"])
    assert [run["seed"] for run in runs] == list(range(seeds))
    assert plan(seeds=2, seed=5).networks[0]["seed"] == 5


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"backbones": ["resnet34"]}, "'backbones' is .*give at least two different names"),
        ({"backbones": "resnet34"}, "'backbones' is 'resnet34'"),
        ({"backbones": ["resnet34", "resnet43"]}, "no backbone 'resnet43'"),
        ({"ratios": []}, "'ratios'"),
        ({"networks": []}, "'networks' is"),
        ({"networks": ["medvitgan"]}, "add 'vitgan'"),
        ({"networks": ["vitgan", "vitgn"]}, "no network 'vitgn'"),
        ({"two_stages": "rleo"}, "needs a guide"),
        ({"two_stages": "histogn"}, "no method 'histogn'"),
        ({"patch_size": "16"}, "at least 32 px"),
        ({"patch_size": "50"}, "50"),
        ({"seeds": 99}, "at most 36"),
        ({"overrides": {"train_classifier.weights": "w.pth"}}, "weights fits one backbone"),
        ({"overrides": {"train_classifier.stem": "small"}}, "no stem 'small'"),
        ({"overrides": {"train_classifier.backbone": "vit_b_16"}}, "'backbone' is 'resnet34' as a parameter"),
        ({"overrides": {"select_samples.ratio": 0.3}}, "'ratio' is 0.5 as a parameter"),
        ({"overrides": {"train_generator.method": "dcgan"}}, "'method' is 'vitgan' as a parameter"),
        ({"overrides": {"train_generator.vitgan.confidence": 1.0}}, "confidence"),
        ({"overrides": {"train_generator.vitgan.z_dim": 11}}, "'z_dim' is 11"),
    ],
)
def test_wrong_settings_are_refused_before_any_training(more, sentence):
    with pytest.raises(SettingsError, match=sentence):
        plan(**more)
