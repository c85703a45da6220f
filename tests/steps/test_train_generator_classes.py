"""`train_generator` with one model per class: all classes, single classes, joining, and resuming."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from processes import run_process
from tiny_guide import save_random_guide
from two_pictures import CLASSES, make_extractor, make_patchset, pictures, read_png

from histoforge.core.documents import read_json
from histoforge.core.errors import ModelError, SettingsError
from histoforge.evaluation.pictures import generator_record
from histoforge.generators.dcgan.objective import CrossEntropy
from histoforge.generators.history_file import write_history
from histoforge.generators.joining import join
from histoforge.generators.loading import LatentGenerator, draw, load_generator
from histoforge.generators.methods import METHODS
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.steps import join_generators, train_generator
from histoforge.steps.join_generators_config import JoinGeneratorsConfig
from histoforge.steps.train_generator_config import TrainGeneratorConfig
from histoforge.training.model_files import load_model, read_model_info

SMALL = {
    "method": "improved_dcgan",
    "z_dim": 8,
    "generator_maps": 8,
    "discriminator_maps": 8,
    "batch_size": 8,
    "epochs": 3,
    "epoch_steps": 2,
    "device": "cpu",
    "checkpoint_every": 2,
    "ema_decay": 0.5,
    "fid_samples": 8,
}


def settings(**values):
    return TrainGeneratorConfig.make({**SMALL, **values})


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    return make_patchset(tmp_path_factory.mktemp("data") / "patches")


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    return make_extractor(tmp_path_factory.mktemp("data") / "extractor")


@pytest.fixture(scope="module")
def whole(patches, extractor, tmp_path_factory):
    """A generator of both classes, and the summary of its training."""
    out = tmp_path_factory.mktemp("whole") / "generator"
    return out, train_generator.run(settings(), patches=patches, extractor=extractor, generator=out)


@pytest.fixture(scope="module")
def apart(patches, extractor, tmp_path_factory):
    """A generator of each class, trained alone."""
    folder = tmp_path_factory.mktemp("apart")
    for name in CLASSES:
        config = settings(only_class=name)
        train_generator.run(config, patches=patches, extractor=extractor, generator=folder / name)
    return [folder / name for name in CLASSES]


def test_each_class_is_drawn_by_its_own_network(whole, apart):
    generator = load_generator(whole[0], "cpu")
    assert generator.info.classes == CLASSES
    labels = np.array([1, 0, 1, 1])
    samples = draw(generator, labels, seed=4)
    np.testing.assert_array_equal(samples, draw(generator, labels, seed=4))
    assert isinstance(generator, LatentGenerator)
    noise = generator.latents(torch.from_numpy(labels), torch.Generator().manual_seed(0))
    decoded = generator.decode(noise, torch.from_numpy(labels))
    for label in (0, 1):
        rows = labels == label
        alone = load_generator(apart[label], "cpu").decode(noise[rows], torch.zeros(rows.sum(), dtype=torch.int64))
        torch.testing.assert_close(decoded[rows], alone)


def test_a_changed_history_is_refused_and_names_no_file_elsewhere(whole, tmp_path):
    out = tmp_path / "g"
    shutil.copytree(whole[0], out)
    history = read_json(out / "history.json")
    assert generator_record(out).pictures
    history["by_class"][CLASSES[0]]["chosen_epoch"] = 1 + history["by_class"][CLASSES[0]]["chosen_epoch"] % 3
    (out / "history.json").write_text(json.dumps(history))
    for read in (generator_record, lambda path: join([path], tmp_path / "joined")):
        with pytest.raises(ModelError, match=r"history\.json was changed after it was written"):
            read(out)
    (tmp_path / "elsewhere.png").write_bytes(b"")
    write_history(out, {"epochs": [], "chosen_epoch": 1, "pictures": {"1": "../elsewhere.png"}})
    assert generator_record(out).pictures == []


def test_the_summary_and_the_history_contain_each_class(whole):
    out, summary = whole
    assert (summary.chosen_epoch, summary.fid, summary.steps, summary.patches) == (None, None, 12, 16)
    history = read_json(out / "history.json")
    assert list(history["by_class"]) == list(summary.by_class) == CLASSES
    for index, name in enumerate(CLASSES):
        entry, class_summary = history["by_class"][name], summary.by_class[name]
        assert [row["epoch"] for row in entry["epochs"]] == [1, 2, 3]
        assert {"d_real", "d_fake", "generator", "discriminator", "fid", "fid_smoothed"} <= set(entry["epochs"][0])
        smoothed = [row["fid_smoothed"] for row in entry["epochs"]]
        assert entry["chosen_epoch"] == class_summary.chosen_epoch == 1 + int(np.argmin(smoothed))
        assert class_summary.fid_smoothed == min(smoothed)
        for picture in entry["pictures"].values():
            assert picture.startswith(f"pictures/{index}-{name}/")
            assert read_png(out / picture).std() > 0
    assert not list(out.parent.rglob("checkpoint-*"))


def test_the_report_reads_each_class(whole):
    record = generator_record(whole[0])
    assert record.chosen_epochs == {name: result.chosen_epoch for name, result in whole[1].by_class.items()}
    assert {f"{name}: {series}" for name in CLASSES for series in ("fid", "d_real", "d_fake")} <= set(record.curves)
    assert {picture.path.parent.name for picture in record.pictures} == {"0-benign", "1-tumour"}


def test_classes_that_were_trained_side_by_side_are_joined_to_the_same_model(whole, apart, tmp_path):
    for path, name in zip(apart, CLASSES, strict=True):
        assert read_model_info(path).classes == [name]
    config = JoinGeneratorsConfig()
    summary = join_generators.run(config, generators=apart[::-1], generator=tmp_path / "joined")
    assert summary.digest == whole[1].digest
    assert (summary.classes, summary.patches, summary.steps) == (CLASSES, 16, 12)
    joined, trained = (load_model(path, "generator")[1] for path in (tmp_path / "joined", whole[0]))
    assert joined.keys() == trained.keys()
    assert all(torch.equal(joined[name], trained[name]) for name in joined)
    history, expected = (read_json(path / "history.json") for path in (tmp_path / "joined", whole[0]))
    assert history.keys() == expected.keys()
    assert list(history["by_class"]) == CLASSES
    for entry in history["by_class"].values():
        assert all((tmp_path / "joined" / name).is_file() for name in entry["pictures"].values())


def test_joining_a_single_generator_copies_it(whole, tmp_path):
    assert join([whole[0]], tmp_path / "same").digest == whole[1].digest
    files = [{path.relative_to(root) for path in root.rglob("*.*")} for root in (whole[0], tmp_path / "same")]
    assert files[0] == files[1]


def test_mismatched_generators_are_not_joined(whole, apart, patches, tmp_path):
    other = tmp_path / "other"
    train_generator.run(settings(only_class="tumour", z_dim=9, epochs=1), patches=patches, generator=other)
    with pytest.raises(ModelError, match="cannot be joined, since their (epochs|z_dim) differ"):
        join([apart[0], other], tmp_path / "joined")
    with pytest.raises(ModelError, match="two models of the class 'benign'|no model of the class 'tumour'"):
        join([apart[0], apart[0]], tmp_path / "joined")
    with pytest.raises(ModelError, match="draws benign, tumour, but only models that were trained on one class can"):
        join([apart[0], whole[0]], tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def train_and_die(patches, extractor, out, die_at=0):
    """Train; with `die_at`, die by SIGKILL in that step of the generators, the steps of all classes counted."""
    torch.set_num_threads(1)
    count, loss = 0, CrossEntropy.generator

    def deadly(self, scores):
        nonlocal count
        count += scores.requires_grad
        if count == die_at > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(self, scores)

    CrossEntropy.generator = deadly
    train_generator.run(settings(), patches=patches, extractor=extractor, generator=out)


def test_a_killed_training_resumes_with_the_interrupted_class(whole, patches, extractor, tmp_path):
    killed = tmp_path / "killed"
    first = run_process(tmp_path / "1.log", train_and_die, patches, extractor, killed, 6 + 4)
    assert first.code == -signal.SIGKILL
    assert not killed.exists()
    second = run_process(tmp_path / "2.log", train_and_die, patches, extractor, killed)
    assert second.code == 0, second.stderr
    assert "improved_dcgan benign: resumes after step 6 of 6" in second.stderr
    assert "improved_dcgan tumour: resumes after step 2 of 6" in second.stderr
    assert read_model_info(killed).digest == whole[1].digest
    for picture in (whole[0] / "pictures").rglob("*.png"):
        assert (killed / picture.relative_to(whole[0])).read_bytes() == picture.read_bytes()


def test_a_class_of_fewer_patches_than_a_batch_is_named(patches, tmp_path):
    with pytest.raises(SettingsError, match="class 'benign' has 8 training patches, fewer than a batch of 9: lower"):
        train_generator.run(settings(batch_size=9), patches=patches, generator=tmp_path / "g")


def test_an_unknown_class_names_the_nearest(patches, tmp_path):
    with pytest.raises(SettingsError, match=r"no class 'tumor' \(did you mean 'tumour'\?\)"):
        train_generator.run(settings(only_class="tumor"), patches=patches, generator=tmp_path / "g")


def test_a_guided_method_requires_a_guide(patches, tmp_path):
    with pytest.raises(SettingsError, match="'rleo' needs a guide"):
        train_generator.run(settings(method="rleo"), patches=patches, generator=tmp_path / "g")


@pytest.mark.parametrize("diff_augment", ["", "colour,translation"])
def test_the_literal_reward_ends_with_the_bits_of_the_gan_without_a_guide(diff_augment, patches, extractor, tmp_path):
    shared, given = {"diff_augment": diff_augment, "seed": 3}, {"patches": patches, "extractor": extractor}
    guide = save_random_guide(tmp_path / "guide", size=16)
    train_generator.run(settings(**shared), **given, generator=tmp_path / "plain")
    states = {"improved_dcgan": load_model(tmp_path / "plain", "generator")[1]}
    for reward in ("literal", "policy"):
        config = settings(**shared, method="rleo", reward=reward)
        train_generator.run(config, **given, guide=guide, generator=tmp_path / reward)
        states[reward] = load_model(tmp_path / reward, "generator")[1]
    plain = states["improved_dcgan"]
    assert all(torch.equal(tensor, plain[name]) for name, tensor in states["literal"].items())
    assert not all(torch.equal(tensor, plain[name]) for name, tensor in states["policy"].items())


def test_a_guide_of_other_patches_is_refused_before_anything_is_written(patches, tmp_path):
    config = settings(method="rleo")
    other = save_random_guide(tmp_path / "other", ["tumour", "benign"], size=16)
    with pytest.raises(ModelError, match="the classes tumour, benign, and the patch set has benign, tumour"):
        train_generator.run(config, patches=patches, guide=other, generator=tmp_path / "g")
    stained = save_random_guide(tmp_path / "stained", size=16, stain="macenko")
    with PatchSetWriter.create(tmp_path / "plain", CLASSES, (16, 16), 0.5) as writer:
        writer.add(pictures(), label=[0, 1], patient="p")
        writer.finish({"step": "preprocess", "config": {"stain": "none"}}, split=["train"] * 2)
    with pytest.raises(ModelError, match="the stain normalisation 'macenko', and the patch set has 'none'"):
        train_generator.run(config, patches=tmp_path / "plain", guide=stained, generator=tmp_path / "g")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "plain", "stained"]


@pytest.mark.parametrize("method", METHODS)
def test_a_patch_size_that_a_method_cannot_make_is_refused_before_a_guide_is_read(method, tmp_path):
    with PatchSetWriter.create(tmp_path / "odd", CLASSES, (37, 37), 0.5) as writer:
        writer.add(np.zeros((2, 37, 37, 3), np.uint8), label=[0, 1], patient="p")
        writer.finish({"step": "test"}, split=["train"] * 2)
    config = TrainGeneratorConfig.make({"method": method, "device": "cpu"})
    with pytest.raises(SettingsError, match="cannot make patches of 37x37 px.*: preprocess to "):
        train_generator.run(config, patches=tmp_path / "odd", guide=tmp_path / "none", generator=tmp_path / "g")
    assert [path.name for path in tmp_path.iterdir()] == ["odd"]


def test_weights_that_do_not_fit_the_description_are_refused(whole, tmp_path):
    info, state = load_model(whole[0], "generator")
    assert state["1.embed.weight"].shape[1] == 8
    wrong = info.model_copy(update={"config": {**info.config, "z_dim": 9}})
    shutil.copytree(whole[0], tmp_path / "g")
    (tmp_path / "g" / "model.json").write_text(wrong.sealed().model_dump_json())
    with pytest.raises(ModelError, match="noise of length 8, and its model.json says z_dim=9"):
        load_generator(tmp_path / "g", "cpu")


def test_any_class_name_will_do(tmp_path):
    classes = ["in situ / G1", "\u816b\u760d"]
    with PatchSetWriter.create(tmp_path / "patches", classes, (16, 16), 0.5) as writer:
        writer.add(np.repeat(pictures(), 8, axis=0), label=np.repeat([0, 1], 8), patient="p")
        writer.finish({"step": "test"}, split=["train"] * 16)
    config = settings(epochs=1, checkpoints=str(tmp_path / "copies"))
    train_generator.run(config, patches=tmp_path / "patches", generator=tmp_path / "g")
    history = read_json(tmp_path / "g" / "history.json")["by_class"]
    assert [history[name]["pictures"]["1"] for name in classes] == [
        "pictures/0-in-situ-G1/epoch-0001.png",
        f"pictures/1-{classes[1]}/epoch-0001.png",
    ]


def test_a_view_of_one_class(patches):
    data = PatchSet.open(patches)
    view = data.of_class(1)
    assert (view.classes, view.labels.tolist(), view.counts.tolist()) == (["tumour"], [0] * 8, [8])
    np.testing.assert_array_equal(view.images(), data.images(data.labels == 1))
    assert view.digest == data.digest


def test_max_patches_limits_all_classes_together(patches, tmp_path):
    few = settings(max_patches=9, batch_size=2, epochs=1)
    summary = train_generator.run(few, patches=patches, generator=tmp_path / "few")
    assert sum(result.patches for result in summary.by_class.values()) == summary.patches == 9
    alone = train_generator.run(
        settings(max_patches=9, batch_size=2, epochs=1, only_class=CLASSES[0]),
        patches=patches,
        generator=tmp_path / "alone",
    )
    assert alone.patches == summary.by_class[CLASSES[0]].patches
    whole = train_generator.run(settings(max_patches=100, epochs=1), patches=patches, generator=tmp_path / "whole")
    assert whole.patches == 16
