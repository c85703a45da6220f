"""Fine-tuning as in the RL-EO paper: few trainable layers, a hidden layer, a stepped learning rate."""

import signal

import pytest
import torch
from processes import kill_at_call, run_process
from textures import write_stripes

from histoforge.classifiers import training
from histoforge.classifiers.architecture import Architecture
from histoforge.classifiers.arms import load_classifier, read_arm
from histoforge.classifiers.backbones.registry import find_backbone
from histoforge.classifiers.data import class_weights, load_data
from histoforge.classifiers.freezing import freeze_all_but
from histoforge.classifiers.network import Classifier
from histoforge.classifiers.study import build, describe, train
from histoforge.classifiers.training import Recipe, set_learning_rate
from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.core.settings import load_preset
from histoforge.patches import PatchSet
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.training.model_files import ModelInfo


def architecture(**changes):
    values = {"backbone": "resnet10", "stem": "imagenet", "width": 0.125, "dropout": 0.5, "weights": ""}
    return Architecture(**{**values, "weights_sha256": "", **changes})


def recipe(**changes):
    config = TrainClassifierConfig(epochs=3, batch_size=8, learning_rate=3e-3, device="cpu", precision="float32")
    values = {name: getattr(config, name) for name in Recipe.__dataclass_fields__}
    return Recipe(**{**values, **changes})


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patches")
    write_stripes(folder / "real")
    write_stripes(folder / "synthetic", (14, 6), (), (), seed=9)
    return folder


@pytest.fixture(scope="module")
def real(paths):
    return PatchSet.open(paths / "real")


@pytest.fixture(scope="module")
def synthetic(paths):
    return PatchSet.open(paths / "synthetic")


def resnet152(**config):
    fixed = {"stem": "imagenet", "width": 0.125, "dropout": 0.5, "imagenet_normalisation": True}
    return Classifier(
        ModelInfo(
            kind="classifier",
            method="resnet152",
            config={**fixed, **config},
            classes=["benign", "invasive"],
            patch_size=(64, 64),
            mpp=0.5,
            digests={},
        )
    )


def test_sixteen_layers_of_the_papers_network_train_layer4_and_the_end_of_layer3_besides_its_head():
    network = resnet152(trainable_layers=16, head_width=1024)
    free = {name for name, weight in network.named_parameters() if weight.requires_grad and weight.dim() > 1}
    blocks = {f"backbone.layer4.{block}.conv{n}.weight" for block in range(3) for n in (1, 2, 3)}
    end = {f"backbone.layer3.{block}.conv{n}.weight" for block in (34, 35) for n in (1, 2, 3)}
    backbone = blocks | end | {"backbone.layer4.0.downsample.0.weight"}
    assert len(backbone) == 16
    assert free == backbone | {"head.0.weight", "fc.weight"}
    assert (network.head[0].out_features, network.fc.in_features) == (1024, 1024)
    assert network.backbone.layer3[34].bn1.weight.requires_grad
    assert not network.backbone.layer3[33].bn3.weight.requires_grad


def test_more_layers_than_there_are_are_refused():
    backbone = find_backbone("resnet10").build("resnet10", (64, 64), {"stem": "imagenet", "width": 0.125})
    with pytest.raises(SettingsError, match="has 12 weighted layers"):
        freeze_all_but(backbone, 13)


def test_frozen_layers_stay_bit_for_bit_with_their_statistics_and_the_others_learn(real, tmp_path):
    few = architecture(trainable_layers=2, head_width=16)
    train("few", few, recipe(), [0], real, None, tmp_path / "few")
    after = load_classifier(tmp_path / "few").state_dict()
    before = build(describe(few, recipe(), real, {}), None, "", 0).state_dict()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert all(name.startswith(("backbone.layer4", "head", "fc")) for name in changed)
    assert {"backbone.layer4.0.bn2.running_mean", "backbone.layer4.0.conv2.weight", "fc.weight"} <= changed
    assert "backbone.layer4.0.conv1.weight" not in changed  # conv2 and the shortcut are the last two


def test_features_come_before_the_head(real, tmp_path):
    with_head = describe(architecture(head_width=10), recipe(), real, {})
    classifier = build(with_head, None, "", 0).eval()
    images = torch.zeros(2, 3, 24, 24)
    tail = classifier.tail(classifier.trunk(images).hidden)
    assert tail.features.shape[1] == classifier.backbone.channels
    expected = classifier.fc(torch.relu(classifier.head[0](tail.features)))
    torch.testing.assert_close(tail.logits, expected)


def test_the_step_schedule_is_torchs():
    optimizer, expected = (torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1e-5) for _ in range(2))
    reference = torch.optim.lr_scheduler.StepLR(expected, step_size=7, gamma=0.1)
    steps = recipe(learning_rate=1e-5, schedule="step", step_epochs=7, step_factor=0.1)
    for epoch in range(1, 17):
        set_learning_rate(optimizer, steps, epoch, 0.5)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(reference.get_last_lr()[0], rel=1e-12)
        expected.step()
        reference.step()


def test_synthetic_alone_trains_on_no_real_patch_and_is_validated_on_real_ones(real, synthetic, tmp_path):
    data = load_data(real, synthetic, torch.device("cpu"), "synthetic")
    assert torch.equal(data.train.images.permute(0, 2, 3, 1), torch.from_numpy(synthetic.images()))
    assert torch.equal(data.val.images.permute(0, 2, 3, 1), torch.from_numpy(real.split("val").images()))
    torch.testing.assert_close(data.class_weights, class_weights(synthetic.counts))
    torch.testing.assert_close(data.val_weights, class_weights(real.split("train").counts))
    result = train("fake", architecture(), recipe(epochs=1), [0], real, synthetic, tmp_path / "fake", "synthetic")
    assert result["config"]["use"] == "synthetic"
    assert result["runs"][0]["steps"] == 5  # as many as for the 40 real patches


def test_real_alone_leaves_given_synthetic_patches_out(real, synthetic, tmp_path):
    options = architecture(), recipe(epochs=1), [0], real
    ignored = train("real", *options, synthetic, tmp_path / "ignored", "real")
    absent = train("real", *options, None, tmp_path / "absent", "both")
    assert ignored["runs"][0]["digest"] == absent["runs"][0]["digest"]
    assert "synthetic" not in ignored["counts"]


def test_synthetic_alone_needs_patches_of_every_class(real, tmp_path):
    with pytest.raises(PatchSetError, match="none are given"):
        load_data(real, None, torch.device("cpu"), "synthetic")
    half = write_stripes(tmp_path / "half", (6, 0), (), ())
    with pytest.raises(PatchSetError, match="none of the class 'fine'"):
        load_data(real, half, torch.device("cpu"), "synthetic")


def test_the_papers_preset_sets_everything_but_the_weights():
    preset = load_preset("paper-rleo")["train_classifier"]
    config = TrainClassifierConfig.make({**preset, "weights": "resnet152.pth"})
    assert (config.backbone, config.trainable_layers, config.head_width) == ("resnet152", 16, 1024)
    assert (config.epochs, config.batch_size, config.learning_rate, config.weight_decay) == (10, 32, 1e-5, 0)
    assert (config.schedule, config.step_epochs, config.step_factor) == ("step", 7, 0.1)


def test_freezing_random_layers_is_refused():
    with pytest.raises(SettingsError, match="trainable_layers=16 freezes all other layers"):
        TrainClassifierConfig.make({"trainable_layers": 16})


def train_and_die(folder, out, die_at_evaluation):
    """Train, and kill its own process instead of the given evaluation (0 for none)."""
    kill_at_call(training, "evaluate", die_at_evaluation)
    options = recipe(schedule="step", step_epochs=2, checkpoint_every=3, precision="auto")
    few = architecture(trainable_layers=4, head_width=16)
    real, synthetic = PatchSet.open(folder / "real"), PatchSet.open(folder / "synthetic")
    train("killed", few, options, [0], real, synthetic, out, "synthetic")


def test_a_killed_fine_tuning_ends_with_the_same_bytes(tmp_path, paths):
    for name, evaluation, code in (("whole", 0, 0), ("killed", 2, -signal.SIGKILL), ("killed", 0, 0)):
        done = run_process(tmp_path / "log", train_and_die, paths, tmp_path / name, evaluation)
        assert done.code == code, done.stderr
    assert done.stderr.count("resumes after step") == 1
    whole, killed = ((tmp_path / name / "seed-0/model.safetensors").read_bytes() for name in ("whole", "killed"))
    assert whole == killed
    assert read_arm(tmp_path / "killed")["runs"][0]["history"] == read_arm(tmp_path / "whole")["runs"][0]["history"]
