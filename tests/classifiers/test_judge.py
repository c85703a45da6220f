"""A classifier of another architecture in an arm: trained beside the seeds without changing them."""

import pytest
from textures import write_stripes

from histoforge.classifiers.architecture import Architecture
from histoforge.classifiers.arms import load_arm, load_judge, read_arm
from histoforge.classifiers.study import train
from histoforge.classifiers.training import Recipe
from histoforge.core.errors import SettingsError
from histoforge.steps.train_classifier_config import TrainClassifierConfig

PLAIN = {"backbone": "resnet10", "stem": "small", "width": 0.125, "dropout": 0.5, "weights": "", "weights_sha256": ""}


def recipe(**changes):
    config = TrainClassifierConfig(epochs=1, batch_size=8, device="cpu", precision="float32", max_steps=2)
    return Recipe(**{**{name: getattr(config, name) for name in Recipe.__dataclass_fields__}, **changes})


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    return write_stripes(tmp_path_factory.mktemp("patches") / "real")


def test_a_judge_is_another_network_and_does_not_change_the_seeds(patches, tmp_path):
    alone = train("baseline", Architecture(**PLAIN), recipe(), [0, 1], patches, None, tmp_path / "alone")
    with_judge = Architecture(**PLAIN, judge_backbone="resnet50")
    both = train("baseline", with_judge, recipe(), [0, 1], patches, None, tmp_path / "both")
    assert [run["digest"] for run in both["runs"]] == [run["digest"] for run in alone["runs"]]
    judge = load_judge(tmp_path / "both")
    assert (judge.info.method, judge.info.training["seed"]) == ("resnet50", 0)
    assert judge.name.startswith("resnet50 (baseline, seed 0)")
    assert read_arm(tmp_path / "both")["judge"]["digest"] == judge.info.digest
    assert [classifier.info.method for classifier in load_arm(tmp_path / "both")] == ["resnet10"] * 2
    assert load_judge(tmp_path / "alone") is None


def test_arms_other_than_the_baseline_train_no_judge(patches, tmp_path):
    with_judge = Architecture(**PLAIN, judge_backbone="resnet18")
    train("traditional", with_judge, recipe(augmentation="traditional"), [0], patches, None, tmp_path / "arm")
    assert load_judge(tmp_path / "arm") is None


def test_an_unknown_judge_is_refused_before_anything_is_trained(patches, tmp_path):
    with_judge = Architecture(**PLAIN, judge_backbone="resnet51")
    with pytest.raises(SettingsError, match="no backbone 'resnet51'"):
        train("baseline", with_judge, recipe(), [0], patches, None, tmp_path / "arm")
    assert not list(tmp_path.iterdir())


def test_the_same_network_as_judge_is_refused():
    with pytest.raises(SettingsError, match="judge_backbone=resnet18 is the same network as backbone"):
        TrainClassifierConfig.make({"backbone": "resnet18", "judge_backbone": "resnet18"})
