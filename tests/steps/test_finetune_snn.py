"""The step `finetune_snn`: its training and outputs, resuming after a kill, and every user error."""

import json
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from processes import kill_at_call, run_process
from real_data import shared_data
from slides_of_patients import CLASSES, write_patients

from histoforge.core.errors import ModelError, PatchSetError, SettingsError
from histoforge.patches import PatchSet
from histoforge.siamese import training
from histoforge.siamese.guide import load_guide
from histoforge.siamese.network import MftSnn
from histoforge.steps import finetune_snn, leaderboard, preprocess
from histoforge.steps.finetune_snn_config import FinetuneSnnConfig
from histoforge.steps.preprocess_config import PreprocessConfig

CPU = (torch.device("cpu"), torch.float32)
SETTINGS = {
    "width": 0.125,
    "stage1_epochs": 2,
    "stage1_epoch_steps": 2,
    "stage2_epochs": 2,
    "stage2_epoch_steps": 3,
    "stage1_layers": 13,
    "stage2_layers": 3,
    "batch_size": 8,
    "checked_pairs": 64,
    "cost_batch": 2,
    "shown": 2,
    "device": "cpu",
    "precision": "float32",
    "checkpoint_every": 2,
}


def settings(**values):
    return FinetuneSnnConfig.make({**SETTINGS, **values})


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    return write_patients(tmp_path_factory.mktemp("data") / "patches")


@pytest.fixture(scope="module")
def overviews(tmp_path_factory):
    return write_patients(tmp_path_factory.mktemp("data") / "overviews", patches=1, size=32, mpp=None)


@pytest.fixture(scope="module")
def tuned(patches, overviews, tmp_path_factory):
    out = tmp_path_factory.mktemp("tuned") / "guide"
    config = settings(ablations=True)
    return out, finetune_snn.run(config, patches=patches, overviews=overviews, guide=out)


def report(path):
    return json.loads((path / "guide.json").read_text())


def test_a_changed_report_of_a_guide_is_refused(tuned, patches, tmp_path):
    shutil.copytree(tuned[0], tmp_path / "guide")
    record, pictures = leaderboard._guide(tmp_path / "guide", PatchSet.open(patches))
    assert (record["pairs"], len(pictures)) == (report(tuned[0])["pairs"], 1)
    (tmp_path / "guide" / "guide.json").write_text(json.dumps({**report(tuned[0]), "warnings": []}))
    with pytest.raises(ModelError, match=r"guide\.json was changed after it was written"):
        leaderboard._guide(tmp_path / "guide", PatchSet.open(patches))


def test_writes_a_guide_with_its_report_and_pictures(tuned, patches, overviews):
    out, summary = tuned
    guide = load_guide(out, *CPU)
    guide.check_fits(CLASSES, (16, 16), 0.5, "the patch set")
    assert guide.info.digest == summary.digest
    assert guide.info.digests == {
        name: PatchSet.open(p).digest for name, p in (("patches", patches), ("overviews", overviews))
    }
    record = report(out)
    assert [(stage["name"], stage["layers"], stage["decoder"]) for stage in record["stages"]] == [
        ("stage-1", 13, True),
        ("stage-2", 3, False),
    ]
    assert [len(stage["losses"]) for stage in record["stages"]] == [2, 2]
    assert record["pairs"]["pairs"] == 64
    assert record["pairs"]["patients"] == 3
    assert [level["level"] for level in record["pairs"]["levels"]] == [0, 1, 2]
    assert record["inference"]["batch"] == 2
    for name in record["pictures"]:
        with Image.open(out / name) as picture:
            assert np.asarray(picture).std() > 0
    assert summary.pair_accuracy == record["pairs"]["accuracy"]["value"]
    assert (summary.overviews, summary.patches, summary.steps) == (8, 48, 10)
    assert any("began with random weights" in warning for warning in summary.warnings)
    assert not list(out.parent.rglob("checkpoint-*"))


def test_ablations_have_as_many_steps(tuned):
    out, summary = tuned
    record = report(out)["ablations"]
    assert set(record) == set(summary.ablations) == {"initial", "overviews_only", "patches_only", "single_stage"}
    steps = {name: sum(stage["steps"] for stage in network["stages"]) for name, network in record.items()}
    assert steps == {"initial": 0, "overviews_only": 4, "patches_only": 10, "single_stage": 10}
    assert record["overviews_only"]["stages"] == report(out)["stages"][:1]
    assert len({json.dumps(network["pairs"]["levels"]) for network in record.values()}) == 4


def test_ablations_do_not_change_the_guide(tuned, patches, overviews, tmp_path):
    finetune_snn.run(settings(), patches=patches, overviews=overviews, guide=tmp_path / "guide")
    assert (tmp_path / "guide" / "model.safetensors").read_bytes() == (tuned[0] / "model.safetensors").read_bytes()
    assert report(tmp_path / "guide")["pairs"] == report(tuned[0])["pairs"]
    assert report(tmp_path / "guide")["ablations"] == {}


def test_stage_2_begins_where_stage_1_ended_and_trains_the_last_three_layers(patches, overviews, tmp_path):
    weights = {}
    for name, epochs in (("short", 1), ("long", 3)):
        config = settings(stage2_epochs=epochs)
        finetune_snn.run(config, patches=patches, overviews=overviews, guide=tmp_path / name)
        weights[name] = load_guide(tmp_path / name, *CPU).network.state_dict()
    changed = [name for name in weights["short"] if not torch.equal(weights["short"][name], weights["long"][name])]
    assert changed == [f"features.{index}.{kind}" for index in (24, 26, 28) for kind in ("weight", "bias")]


def test_it_learns_to_distinguish_held_out_patients(patches, tmp_path):
    config = settings(stage1=False, stage2_epochs=1, stage2_epoch_steps=60, checked_pairs=200, checkpoint_every=0)
    summary = finetune_snn.run(config, patches=patches, guide=tmp_path / "guide")
    assert summary.similarity["similar"] > 0.9
    assert summary.similarity["other_patient"] < summary.similarity["similar"] - 0.1
    assert summary.pair_auc > 0.8


def test_without_stage_1_it_is_trained_on_patches_only_with_a_warning(patches, tmp_path):
    summary = finetune_snn.run(settings(stage1=False), patches=patches, guide=tmp_path / "guide")
    assert (summary.stages, summary.overviews) == (["patches-alone"], 0)
    assert "Stage 1 was left out" in summary.warnings[0]
    record = report(tmp_path / "guide")
    assert record["warnings"] == summary.warnings
    assert [(stage["layers"], stage["decoder"], stage["steps"]) for stage in record["stages"]] == [(13, True, 6)]


def test_begins_with_given_weights(patches, tmp_path):
    torch.manual_seed(5)
    given = MftSnn(0.125).state_dict()
    torch.save({name: tensor for name, tensor in given.items() if name.startswith("features.")}, tmp_path / "vgg.pth")
    config = settings(stage1=False, weights=str(tmp_path / "vgg.pth"), stage1_layers=3)
    summary = finetune_snn.run(config, patches=patches, guide=tmp_path / "guide")
    guide = load_guide(tmp_path / "guide", *CPU)
    assert torch.equal(guide.network.state_dict()["features.0.weight"], given["features.0.weight"])
    assert not torch.equal(guide.network.state_dict()["features.28.weight"], given["features.28.weight"])
    assert len(guide.info.digests["weights"]) == 64
    assert not any("random weights" in warning for warning in summary.warnings)


def tune_and_die(patches, overviews, out, die_at):
    """Run the step, and kill the process at the given loss (0 for none)."""
    kill_at_call(training, "contrastive_loss", die_at)
    finetune_snn.run(settings(precision="auto"), patches=patches, overviews=overviews, guide=out)


def test_a_training_killed_in_each_stage_ends_with_the_same_bytes(tmp_path, patches, overviews):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = run_process(tmp_path / "log", tune_and_die, patches, overviews, whole, 0)
    assert undisturbed.code == 0, undisturbed.stderr
    for die_at, resumed in ((4, []), (5, ["stage-1"])):  # stage 1: 4 losses, 2 of them again; stage 2: 6 losses
        ended = run_process(tmp_path / "log", tune_and_die, patches, overviews, killed, die_at)
        assert ended.code == -signal.SIGKILL, ended.stderr
        assert resumed_stages(ended) == resumed
        assert not killed.exists()
    ended = run_process(tmp_path / "log", tune_and_die, patches, overviews, killed, 0)
    assert ended.code == 0, ended.stderr
    assert resumed_stages(ended) == ["stage-1", "stage-2"]
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    first, second = report(whole), report(killed)
    assert first["pairs"] == second["pairs"]
    assert losses(first) == losses(second)


def resumed_stages(ended):
    return [name for name in ("stage-1", "stage-2") if f"{name}: resumes after step" in ended.stderr]


def losses(record):
    return [[{**row, "seconds": 0} for row in stage["losses"]] for stage in record["stages"]]


def test_the_error_of_missing_overviews_names_the_setting_that_leaves_them_out(patches, tmp_path):
    with pytest.raises(PatchSetError, match="none were given: name them, or set stage1=false to train on patches"):
        finetune_snn.run(settings(), patches=patches, guide=tmp_path / "guide")
    empty = write_patients(tmp_path / "empty", patients=(0, 0, 1), patches=1, size=32)
    with pytest.raises(PatchSetError, match="no training overviews in .*: set stage1=false"):
        finetune_snn.run(settings(), patches=patches, overviews=empty, guide=tmp_path / "guide")
    single = write_patients(tmp_path / "one", patients=(1, 1, 1), patches=1, size=32)
    with pytest.raises(PatchSetError, match="images of one patient .* no dissimilar slides .* set stage1=false"):
        finetune_snn.run(settings(), patches=patches, overviews=single, guide=tmp_path / "guide")


def test_patches_of_one_patient_are_refused(overviews, tmp_path):
    single = write_patients(tmp_path / "one", patients=(1, 1, 1))
    with pytest.raises(PatchSetError, match="'train' split has 12 images of one patient .* no dissimilar slides"):
        finetune_snn.run(settings(), patches=single, overviews=overviews, guide=tmp_path / "guide")


def test_patches_that_vgg_cannot_halve_are_refused(overviews, tmp_path):
    small = write_patients(tmp_path / "small", size=12)
    with pytest.raises(PatchSetError, match="patches of 12 px, .*patch_size of at least 16"):
        finetune_snn.run(settings(), patches=small, overviews=overviews, guide=tmp_path / "guide")


def test_weights_that_are_missing_or_do_not_fit_are_refused(patches, tmp_path):
    config = {"stage1": False, "weights": str(tmp_path / "vgg.pth")}
    with pytest.raises(ModelError, match="no weights file .*vgg.pth"):
        finetune_snn.run(settings(**config), patches=patches, guide=tmp_path / "guide")
    torch.save(MftSnn(0.125).state_dict(), tmp_path / "vgg.pth")
    with pytest.raises(ModelError, match=f"has the SHA-256 .*, not {'0' * 64}"):
        finetune_snn.run(settings(**config, weights_sha256="0" * 64), patches=patches, guide=tmp_path / "guide")
    with pytest.raises(ModelError, match="do not fit a VGG-16 encoder"):
        finetune_snn.run(settings(**config, width=0.25), patches=patches, guide=tmp_path / "guide")
    assert not (tmp_path / "guide").exists()


def test_stage_2_cannot_train_what_stage_1_did_not():
    with pytest.raises(SettingsError, match="stage2_layers must be at most stage1_layers"):
        settings(stage1_layers=3, stage2_layers=8)


def test_a_set_that_was_split_by_slide_has_a_warning(tmp_path, patches):
    """Real patches: three patients whose slides are in different splits."""
    source = tmp_path / "source"
    for name in ("non_tumor", "viable_tumor"):
        (source / name).mkdir(parents=True)
        files = sorted(shared_data("patches", "osteosarcoma10x", name).iterdir())
        for file in files[:: max(1, len(files) // 60)]:
            shutil.copy(file, source / name / file.name)
    labels = shared_data("patches", "osteosarcoma10x", "labels.csv").read_text().splitlines()
    kept = [line for line in labels[1:] if (source / line.split(",")[0]).is_file()]
    (source / "labels.csv").write_text("\n".join([labels[0], *kept]) + "\n")
    config = PreprocessConfig.make({"source": str(source), "patch_size": "64", "split_by": "slide"})
    preprocess.run(config, patches=tmp_path / "patches", overviews=tmp_path / "overviews")
    with pytest.raises(PatchSetError, match="no training overviews"):
        finetune_snn.run(
            settings(), patches=tmp_path / "patches", overviews=tmp_path / "overviews", guide=tmp_path / "guide"
        )
    summary = finetune_snn.run(
        settings(stage1=False, stage2_epochs=1), patches=tmp_path / "patches", guide=tmp_path / "guide"
    )
    assert any("also have training patches" in warning for warning in summary.warnings)
    assert 0 <= summary.pair_auc <= 1
