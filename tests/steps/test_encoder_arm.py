"""An arm of linear probes on a frozen encoder: what is trained, what is stored, and the space that it selects in."""

import pytest
import torch
from interrupted_engine import InterruptedEngine, InterruptedTrainingError
from safetensors.torch import load_file
from textures import write_stripes
from tiny_encoders import write_encoder
from torch.nn import functional as F

from histoforge.classifiers.arms import load_classifier, read_arm
from histoforge.classifiers.encoders.encoder import load_encoder
from histoforge.core.errors import SettingsError
from histoforge.metrics.embeddings import cache_folder
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.selection.scores import Scorer
from histoforge.steps.train_classifier import run
from histoforge.steps.train_classifier_config import TrainClassifierConfig

PROBE = {
    "backbone": "encoder",
    "epochs": 20,
    "batch_size": 8,
    "learning_rate": 0.03,
    "seeds": 2,
    "device": "cpu",
    "precision": "float32",
    "dropout": 0.2,
    "width": 0.25,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    write_stripes(folder / "patches", (12, 8), (4, 4), (4, 4))
    write_stripes(folder / "synthetic", (6, 4), (), ())
    file = write_encoder(folder / "encoder")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HISTOFORGE_CACHE", str(folder / "cache"))
        config = TrainClassifierConfig.make({**PROBE, "encoder": str(file), "judge_backbone": "conv4"})
        summary = run(config, patches=folder / "patches", model=folder / "arm")
        kept = list(cache_folder().iterdir())
        selective = TrainClassifierConfig.make({**PROBE, "encoder": str(file), "arm": "selective"})
        run(selective, patches=folder / "patches", synthetic=folder / "synthetic", model=folder / "selective")
        return folder, file, summary, kept, list(cache_folder().iterdir())


def test_only_the_head_trains_and_it_learns(made):
    folder, file, summary, _, _ = made
    assert summary.val_accuracy > 0.9
    published = load_file(file.parent / "weights.safetensors")
    first, second = (load_file(folder / f"arm/seed-{seed}/model.safetensors") for seed in (0, 1))
    for name in first:
        if name.startswith("backbone."):
            assert torch.equal(first[name], published[name.removeprefix("backbone.network.model.")])
    assert not torch.equal(first["fc.weight"], second["fc.weight"])
    assert read_arm(folder / "arm")["judge"]["model"] == "judge"


def test_an_image_is_classified_by_the_head_on_its_embedding(made):
    folder, file, _, _, _ = made
    classifier, encoder = load_classifier(folder / "arm"), load_encoder(str(file))
    images = torch.rand(3, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = F.linear(encoder.features(images), classifier.fc.weight, classifier.fc.bias)
    torch.testing.assert_close(classifier(images), expected, rtol=1e-4, atol=1e-4)


def test_each_split_is_embedded_once_for_all_seeds_and_arms(made):
    _, _, _, kept, later = made
    assert len(kept) == 2, "training and validation patches"
    assert len(set(later) - set(kept)) == 1, "the synthetic patches"


def test_augmented_patches_pass_the_frozen_encoder_at_every_step(made, tmp_path):
    folder, file, _, _, _ = made
    config = {**PROBE, "encoder": str(file), "augmentation": "traditional", "epochs": 1, "seeds": 1}
    run(TrainClassifierConfig.make(config), patches=folder / "patches", model=tmp_path / "arm")
    state, published = (
        load_file(path) for path in (tmp_path / "arm/seed-0/model.safetensors", file.parent / "weights.safetensors")
    )
    name = "blocks.0.attn.qkv.weight"
    assert torch.equal(state[f"backbone.network.model.{name}"], published[name])


def test_a_stopped_probe_resumes_and_ends_with_the_same_bytes(made, tmp_path, monkeypatch):
    folder, file, _, _, _ = made
    monkeypatch.setenv("HISTOFORGE_CACHE", str(folder / "cache"))
    config = TrainClassifierConfig.make({**PROBE, "encoder": str(file), "epochs": 4, "seeds": 1, "checkpoint_every": 3})
    run(config, patches=folder / "patches", model=tmp_path / "whole")
    monkeypatch.setattr("histoforge.classifiers.study.Engine", InterruptedEngine)
    monkeypatch.setattr(InterruptedEngine, "end_at", 8)
    with pytest.raises(InterruptedTrainingError):
        run(config, patches=folder / "patches", model=tmp_path / "stopped")
    monkeypatch.setattr(InterruptedEngine, "end_at", 0)
    run(config, patches=folder / "patches", model=tmp_path / "stopped")
    whole, stopped = (tmp_path / name / "seed-0" / "model.safetensors" for name in ("whole", "stopped"))
    assert whole.read_bytes() == stopped.read_bytes()


def test_distances_of_a_selection_are_those_of_the_encoders_space(made):
    folder, file, _, _, _ = made
    classifier, encoder = load_classifier(folder / "arm"), load_encoder(str(file))
    train = PatchSet.open(folder / "patches").split("train")
    scorer = Scorer(classifier, passes=2, layers="stages", seed=0, device=torch.device("cpu"), dtype=torch.float32)
    scorer.classifier.dropout.p = 0.0
    data = DevicePatches.load(train, "cpu")
    scorer.fit(train, train.labels, 2, batch_size=8)
    batch = data.batch(torch.arange(len(data)))
    embeddings = encoder.features(batch.images)
    centroids = torch.stack([embeddings[batch.labels == label].mean(0) for label in (0, 1)])
    cosines = F.cosine_similarity(embeddings, centroids[batch.labels])
    scores = scorer.score(batch.images, batch.labels)
    torch.testing.assert_close(torch.from_numpy(scores.distance).float(), 2 - 2 * cosines, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"encoder": ""}, "backbone=encoder and encoder='' do not belong together"),
        ({"backbone": "conv4", "encoder": "e.yaml"}, "backbone=conv4 and encoder=e.yaml do not belong together"),
        ({"encoder": "e.yaml", "input_size": 224}, "names its weights and its input size"),
        ({"encoder": "e.yaml", "weights": "w.pth", "trainable_layers": 2}, "no layer of it trains"),
    ],
)
def test_settings_that_contradict_an_encoder_are_refused(settings, sentence):
    with pytest.raises(SettingsError, match=sentence):
        TrainClassifierConfig.make({**PROBE, **settings})
