"""Classifiers that were trained together with generators become an arm like any other."""

import signal

import numpy as np
import pytest
import torch
from preprocessing import folder_by_patient, preprocess
from processes import kill_at_call, run_process
from textures import write_stripes
from unified_models import save_unified
from untrained_generator import save_generator

from histoforge.classifiers.arms import load_arm, load_classifier, read_arm
from histoforge.core.documents import read_json
from histoforge.core.errors import ModelError
from histoforge.generators import joining
from histoforge.generators.vitgan import train as vitgan
from histoforge.patches import PatchSet
from histoforge.steps import evaluate, join_classifiers, publish_model, train_generator
from histoforge.steps.evaluate_config import EvaluateConfig
from histoforge.steps.join_classifiers_config import JoinClassifiersConfig
from histoforge.steps.publish_model_config import PublishModelConfig
from histoforge.steps.train_generator_config import TrainGeneratorConfig

SIZE = 32
TINY = {
    "method": "vitgan",
    "z_dim": 20,
    "generator_channels": 128,
    "heads": 2,
    "encoders": 1,
    "discriminator_width": 0.1,
    "batch_size": 4,
    "epochs": 1,
    "max_steps": 2,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "patches"
    write_stripes(path, (6, 4), (4, 4), (4, 4), size=SIZE)
    return path


def join(paths, out, arm=""):
    return join_classifiers.run(JoinClassifiersConfig(arm=arm), generators=paths, model=out)


def test_two_trainings_become_an_arm_that_is_evaluated_and_published(patches, tmp_path):
    for seed in (3, 1):
        config = TrainGeneratorConfig.make({**TINY, "seed": seed})
        summary = train_generator.run(config, patches=patches, generator=tmp_path / f"g{seed}")
        assert summary.chosen_by == "lowest validation loss near the best validation accuracy"
    summary = join([tmp_path / "g3", tmp_path / "g1"], tmp_path / "arm")
    assert (summary.arm, summary.seeds) == ("vitgan", [1, 3])
    arm = read_arm(tmp_path / "arm")
    assert arm["counts"]["train"] == {"coarse": 6, "fine": 4}
    assert [classifier.info.training["seed"] for classifier in load_arm(tmp_path / "arm")] == [1, 3]
    outputs = {"report": tmp_path / "report.html", "metrics": tmp_path / "metrics.json"}
    evaluate.run(EvaluateConfig.make({"device": "cpu"}), patches=patches, arms=[tmp_path / "arm"], **outputs)
    assert read_json(outputs["metrics"])["arms"]["vitgan"]["seeds"] == [1, 3]
    config = PublishModelConfig.make({"models": str(tmp_path / "models"), "name": "unified", "device": "cpu"})
    publish_model.run(
        config, patches=patches, challenger=tmp_path / "arm", results=outputs["metrics"], publication=tmp_path / "out"
    )
    assert read_json(tmp_path / "out" / "decision.json")


def test_a_fold_is_trained_and_validated_on_its_own_patches(tmp_path, monkeypatch):
    preprocess(folder_by_patient(tmp_path / "in", patients=7), tmp_path, patch_size=SIZE, folds=3)
    path = next(file.parent for file in tmp_path.rglob("patchset.json") if file.parent.name == "patches")
    train, validated = vitgan.train, []

    def noted(*arguments, validation):
        validated.append(set(validation.index["patient"]))
        return train(*arguments, validation=validation)

    monkeypatch.setattr(vitgan, "train", noted)
    config = TrainGeneratorConfig.make({**TINY, "batch_size": 2, "max_steps": 1, "fold": 1})
    train_generator.run(config, patches=path, generator=tmp_path / "g")
    patients = [set(PatchSet.open(path, fold).split("val").index["patient"]) for fold in (0, 1)]
    assert patients[0] != patients[1]
    assert validated == [patients[1]]
    join([tmp_path / "g"], tmp_path / "arm")
    assert read_arm(tmp_path / "arm")["fold"] == 1


def train_and_die(patches, extractor, out, die_at=0):
    """Train; with `die_at`, die by SIGKILL in that step, between the discriminator's update and the generator's."""
    torch.set_num_threads(1)
    kill_at_call(vitgan, "_generator_loss", die_at)
    killable = {**TINY, "epochs": 3, "epoch_steps": 2, "max_steps": 0, "checkpoint_every": 1, "fid_samples": 8}
    config = TrainGeneratorConfig.make(killable)
    train_generator.run(config, patches=patches, extractor=extractor, generator=out)


def test_a_killed_training_ends_with_the_same_bytes_of_both_models(patches, tmp_path):
    extractor = save_unified(tmp_path / "0", 0) / "classifier"
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_process(tmp_path / "1.log", train_and_die, patches, extractor, whole).code == 0
    die_at = int(np.random.default_rng().integers(2, 7))
    first = run_process(tmp_path / "2.log", train_and_die, patches, extractor, killed, die_at)
    assert first.code == -signal.SIGKILL
    assert not killed.exists()
    assert run_process(tmp_path / "3.log", train_and_die, patches, extractor, killed).code == 0
    for name in ("model.safetensors", "classifier/model.safetensors"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), f"killed in step {die_at}"
    history = read_json(whole / "history.json")
    assert history["chosen_by"] == "lowest FID near the best validation accuracy"
    assert all(row["fid"] is not None for row in history["epochs"])


def test_an_arm_names_the_warnings_of_its_trainings(patches, tmp_path):
    digest = PatchSet.open(patches).digest
    paths = [save_unified(tmp_path / str(seed), seed, patches=digest) for seed in (0, 1)]
    join(paths, tmp_path / "arm", arm="unified model")
    arm = read_arm(tmp_path / "arm")
    assert arm["arm"] == "unified model"
    assert arm["warnings"] == ["warning 0", "warning 1"]
    assert [run["val_accuracy"] for run in arm["runs"]] == [0.5, 0.6]
    assert "warnings" not in arm["runs"][0]
    assert load_classifier(tmp_path / "arm").info.digest == arm["runs"][0]["digest"]


def test_a_generator_without_a_classifier_is_refused(tmp_path):
    save_generator(tmp_path / "g")
    with pytest.raises(
        ModelError, match="the method 'histogan', which trains no classifier: give generators of vitgan"
    ):
        join([tmp_path / "g"], tmp_path / "arm")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"confidence": 0.7}, "confidence differ"),
        ({"patches": "other"}, "patch set differ"),
        ({"seed": 0}, "same seed"),
    ],
)
def test_trainings_that_do_not_belong_together_are_refused(tmp_path, values, problem):
    first, second = save_unified(tmp_path / "0", 0), save_unified(tmp_path / "1", **{"seed": 1, **values})
    with pytest.raises(ModelError, match=problem):
        join([first, second], tmp_path / "arm")
    assert not (tmp_path / "arm").exists()


def test_a_damaged_classifier_is_refused(tmp_path):
    path = save_unified(tmp_path / "0", 0)
    weights = path / "classifier" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="is missing or damaged"):
        join([path], tmp_path / "arm")


def test_joining_a_single_generator_keeps_its_classifier(tmp_path):
    path = save_unified(tmp_path / "0", 0)
    joining.join([path], tmp_path / "joined")
    assert load_classifier(tmp_path / "joined" / "classifier").info == load_classifier(path / "classifier").info
