"""The tasks of the pipeline `pathup`, and the check of its splits."""

import numpy as np
import pytest

from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.evaluation.arm_factors import arm_title
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.matching import check_same_split
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.steps.train_generator_config import method_config
from histoforge.tasks.plan_pathup import plan_pathup


def plan(backbones=(), baselines=("stylegan2", "vqgan"), upscalers=("latent_sr", "bsrgan"), **more):
    given = {"patch_size": "64", "seed": -1, "preset": "quickstart", "overrides": {}, **more}
    return plan_pathup(backbones, baselines, upscalers, **given)


def cut(overrides, preset="quickstart"):
    return step_config(STEPS["preprocess"], preset, overrides, {"patch_size": "64", "source": "any"})


def test_large_images_are_the_tissue_of_overviews_at_the_resolution_of_patches():
    planned = plan(overrides={"preprocess.overview_shrink": 2, "seed": 5, "train_classifier.epochs": 2})
    levels, images = cut(planned.cutting), cut(planned.cutting_images)
    assert levels.overview_px == levels.size == images.size == (64, 64)
    assert levels.overview_footprint == images.overview_footprint == images.overview_px == (128, 128)
    assert planned.size == "128"
    different = {"overview_size", "overview_shrink"}
    assert levels.model_dump(exclude=different) == images.model_dump(exclude=different)
    assert levels.seed == 5


@pytest.mark.parametrize(
    ("preset", "patch_size", "size", "backbones"),
    [
        ("paper-pathup", "", "2048", ["vit_l_16", "admil"]),
        ("sane", "96", "384", ["vit_s_16", "admil"]),
        ("quickstart", "64", "256", ["vit_s_16", "admil"]),
        ("demo", "", "128", ["vit_s_16", "admil"]),
    ],
)
def test_every_preset_has_what_the_experiment_needs(preset, patch_size, size, backbones):
    planned = plan(preset=preset, patch_size=patch_size)
    assert planned.size == size
    assert [item["backbone"] for item in planned.classifiers] == backbones


def test_generators_differ_in_alignment_and_take_the_overrides_of_the_user():
    planned = plan(overrides={"train_generator.epochs": 3, "train_generator.pathup.dropout": 0.1})
    assert list(planned.alignments) == ["none", "prompt", "entropy"]
    for alignment, overrides in planned.alignments.items():
        config = method_config(step_config(STEPS["train_generator"], "quickstart", overrides, {"method": "pathup"}))
        assert (config.alignment, config.epochs, config.dropout) == (alignment, 3, 0.1)


def test_each_backbone_sees_a_large_image_in_the_size_of_a_patch():
    vit, bags = plan(overrides={"train_classifier.batch_size": 4}).classifiers
    configs = [
        step_config(STEPS["train_classifier"], "quickstart", item["overrides"], {"backbone": item["backbone"]})
        for item in (vit, bags)
    ]
    assert (configs[0].input_size, configs[1].tile_size, configs[1].input_size) == (64, 64, 0)
    assert [config.batch_size for config in configs] == [4, 4]
    (own,) = plan(["admil"], overrides={"train_classifier.tile_size": 32}).classifiers
    assert own["overrides"]["train_classifier.tile_size"] == 32


def test_arms_are_accepted_by_the_step_and_have_titles():
    kinds = ("real", "random", "ours")
    arms = [(item[kind], item[f"{kind}_factors"]) for item in plan().classifiers for kind in kinds]
    configs = [TrainClassifierConfig.make({"arm": arm, "factors": factors}) for arm, factors in arms]
    assert [config.arm for config in configs][:4] == ["baseline", "vit_s_16_random", "vit_s_16_ours", "admil"]
    titles = [arm_title(config.arm, config.factor_values) for config in configs]
    assert titles == ["vit_s_16", "vit_s_16 + random", "vit_s_16 + ours", "admil", "admil + random", "admil + ours"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"patch_size": "64x32"}, "square ones: give patch_size=64"),
        ({"patch_size": "60"}, "multiples of 16"),
        ({"patch_size": "1600"}, "at most 4096 px"),
        ({"overrides": {"preprocess.overview_shrink": 0}}, "'overview_shrink' is 0"),
        ({"overrides": {"overview_shrink": 1}}, "'overview_shrink' is 1"),
        ({"overrides": {"preprocess.overview_size": 128}}, "the size of patches, 64 px"),
        ({"overrides": {"preprocess.folds": 2}}, "a single split"),
        ({"overrides": {"train_generator.pathup.alignment": "none"}}, "trains every 'alignment'"),
        ({"overrides": {"train_generator.pathup.spatial_levels": "patch"}}, "'spatial_levels' is 'patch'"),
        ({"overrides": {"train_generator.pathup.guidance": 2, "train_generator.condition_dropout": 0}}, "guidance=2"),
        ({"overrides": {"synthesise_images.weights": "tent"}}, "compares every 'weights'"),
        ({"overrides": {"synthesise_images.upscaler": "bicubic"}}, "compares every 'upscaler'"),
        ({"overrides": {"synthesise_images.size": "128"}}, "'size' is '256' as a parameter"),
        ({"overrides": {"synthesise_images.strength": 1}}, "strength"),
        ({"overrides": {"train_classifier.weights": "w.pth"}}, "weights fits one backbone"),
        ({"baselines": ["ddpn"]}, "no method 'ddpn'"),
        ({"baselines": ["rleo"]}, "needs a guide or latents"),
        ({"baselines": "stylegan2"}, "'baselines' is 'stylegan2'"),
        ({"upscalers": ["esrgan"]}, "method"),
        ({"overrides": {"preprocess.overview_shrink": 3}}, "enlarges by 2, 4 or 8"),
        ({"backbones": ["resnet43"]}, "no backbone 'resnet43'"),
        ({"backbones": ["vit_b_16"], "overrides": {"train_classifier.input_size": 40}}, "multiples of 16"),
    ],
)
def test_wrong_settings_are_refused_before_any_work(more, sentence):
    with pytest.raises(SettingsError, match=sentence):
        plan(**more)


def patch_set(path, splits):
    with PatchSetWriter.create(path, ["one", "two"], (8, 8)) as writer:
        for patient, split in splits.items():
            writer.add(np.zeros((2, 8, 8, 3), np.uint8), label=np.arange(2), patient=patient, slide="s", split=split)
        writer.finish({"step": "test"})
    return PatchSet.open(path)


def test_a_patient_in_another_split_is_an_error(tmp_path):
    patches = patch_set(tmp_path / "patches", {"p1": "train", "p2": "train", "p3": "test"})
    check_same_split(patches, patch_set(tmp_path / "same", {"p3": "test", "p1": "train"}))
    for number, (patient, split) in enumerate({"p3": "train", "p1": "val", "p4": "train"}.items()):
        with pytest.raises(PatchSetError, match=f"patient '{patient}' are in the split '{split}'"):
            check_same_split(patches, patch_set(tmp_path / f"other{number}", {patient: split}))
