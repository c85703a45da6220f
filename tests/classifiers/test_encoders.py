"""Encoders: their embeddings against the library that published the network, and files that do not fit."""

import numpy as np
import pytest
import torch
from tiny_encoders import VIT, published_vit, write_encoder
from torch.nn import functional as F
from torchvision.models import resnet18

from histoforge.classifiers.encoders.encoder import load_encoder, load_encoders
from histoforge.core.digests import digest_file
from histoforge.core.errors import HistoforgeError, SettingsError
from histoforge.metrics.embeddings import cache_folder, patch_features
from histoforge.patches import PatchSet, PatchSetWriter


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOFORGE_CACHE", str(tmp_path / "cache"))


def tokens_of(images):
    """Return all normalised tokens, as timm computes them of images in [0, 1] after its own normalisation."""
    mean, std = (torch.tensor(VIT[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        return published_vit().forward_features(((images + 1) / 2 - mean) / std)


@pytest.fixture(scope="module")
def images():
    return torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("class_token", lambda tokens: tokens[:, 0]),
        ("default", lambda tokens: tokens[:, 0]),
        ("mean", lambda tokens: tokens[:, 3:].mean(1)),
        ("class_token_and_mean", lambda tokens: torch.cat([tokens[:, 0], tokens[:, 3:].mean(1)], 1)),
    ],
)
def test_an_embedding_is_what_timm_computes(tmp_path, images, pooling, expected):
    encoder = load_encoder(str(write_encoder(tmp_path, pooling=pooling)))
    torch.testing.assert_close(encoder.features(images), expected(tokens_of(images)), rtol=1e-4, atol=1e-5)


def test_images_of_another_size_are_resized(tmp_path, images):
    encoder = load_encoder(str(write_encoder(tmp_path)))
    small = F.interpolate(images, (24, 24), mode="bilinear", antialias=True)
    resized = F.interpolate(small, (32, 32), mode="bilinear", antialias=True)
    torch.testing.assert_close(encoder.features(small), tokens_of(resized)[:, 0], rtol=1e-4, atol=1e-5)


def test_a_network_of_torchvision_is_an_encoder(tmp_path, images):
    torch.manual_seed(2)
    network = resnet18().eval()
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    file = write_encoder(
        tmp_path,
        architecture="resnet18",
        arguments=None,
        pooling="default",
        weights="resnet18.pth",
        sha256=digest_file(tmp_path / "resnet18.pth"),
        mean=[0.5, 0.5, 0.5],
        std=[0.5, 0.5, 0.5],
    )
    network.fc = torch.nn.Identity()
    with torch.inference_mode():
        expected = network(images)
    torch.testing.assert_close(load_encoder(str(file)).features(images), expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_named_and_close(tmp_path, images):
    file = str(write_encoder(tmp_path))
    exact, fast = load_encoder(file), load_encoder(file, dtype=torch.bfloat16)
    assert fast.name == f"{exact.name} in bfloat16"
    assert fast.features(images).dtype == torch.float32
    torch.testing.assert_close(fast.features(images), exact.features(images), rtol=0.1, atol=0.1)


def test_the_arguments_name_types_of_layers(tmp_path):
    network = load_description(tmp_path, mlp_layer="SwiGLUPacked", act_layer="silu", init_values=1e-5)
    block = network.network.model.blocks[0]
    assert type(block.mlp).__name__ == "GluMlp"
    assert isinstance(block.mlp.act, torch.nn.SiLU)
    assert block.ls1.gamma[0].item() == pytest.approx(1e-5)


def load_description(folder, **arguments):
    from histoforge.classifiers.encoders.description import read_description
    from histoforge.classifiers.encoders.network import FrozenEncoder

    file = write_encoder(folder, arguments={**VIT["arguments"], **arguments})
    return FrozenEncoder(read_description(str(file)))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sha256": "0" * 64}, "has the SHA-256 .* not 0000"),
        (
            {"arguments": {"img_size": 32, "reg_tokens": 1}},
            "do not fit the backbone .*: state the architecture and the arguments that they belong to",
        ),
        ({"architecture": "timm:test_vot"}, "timm has no model 'test_vot'.*test_vit"),
        ({"architecture": "vit_b_17"}, "There is no backbone 'vit_b_17'"),
        ({"architecture": "conv4"}, "takes no arguments, and no pooling but 'default'"),
        ({"architecture": "admil", "arguments": None, "pooling": "default"}, "is no encoder"),
        ({"architecture": "vit_b_16", "arguments": None, "pooling": "default", "input_size": 40}, "multiples of 16"),
        ({"arguments": {"img_size": 40}, "input_size": 40}, r"\(40\) should be divisible by patch size \(16"),
        ({"arguments": {"img_size": 32, "colour": 3}}, "cannot process .*colour"),
        ({"arguments": {"img_size": 32, "patch_size": 0}}, "cannot process .*zero"),
        ({"arguments": {"features_only": True}}, "cannot process .*forward_features"),
        ({"arguments": {"checkpoint_path": "/etc/hostname"}}, "cannot process"),
        ({"architecture": "timm:resnet10t", "arguments": {}}, "has no class token|cannot process"),
        ({"weights": None}, "'weights' is missing"),
        ({"mean": None}, "'mean' is missing"),
        ({"std": [0.2, 0.0, 0.2]}, "std.1: more than 0"),
        ({"mean": [0.5, 0.5]}, "'mean.2' is missing"),
        ({"pooling": "max"}, "pooling: "),
        ({"licence": "none"}, "'licence' is not a known field"),
        ({"weights": "nowhere.bin"}, "There is no weights file"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_sentence(tmp_path, changes, sentence):
    with pytest.raises(HistoforgeError, match=sentence) as refused:
        load_encoder(str(write_encoder(tmp_path, **changes)))
    assert str(refused.value).count("\n") == 0


def test_weights_without_a_layer_are_refused(tmp_path):
    from safetensors.torch import save_file

    state = published_vit().state_dict()
    del state["blocks.1.attn.qkv.weight"]
    save_file(state, tmp_path / "part.safetensors")
    file = write_encoder(tmp_path, weights="part.safetensors", sha256=digest_file(tmp_path / "part.safetensors"))
    with pytest.raises(HistoforgeError, match=r"'network.model.blocks.1.attn.qkv.weight' is missing"):
        load_encoder(str(file))


def test_weights_that_are_no_state_dict_are_refused(tmp_path):
    (tmp_path / "junk.pt").write_bytes(b"junk")
    file = write_encoder(tmp_path, weights="junk.pt", sha256=digest_file(tmp_path / "junk.pt"))
    with pytest.raises(HistoforgeError, match=r"junk\.pt cannot be read"):
        load_encoder(str(file))


@pytest.mark.parametrize("content", [None, "[1, 2", "just text", "- a\n- b\n"])
def test_a_file_that_is_no_description_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "encoder.yaml").write_text(content)
    with pytest.raises(HistoforgeError, match=r"encoder.yaml .*: write it as docs/encoders.md describes\."):
        load_encoder(str(tmp_path / "encoder.yaml"))


def test_an_encoder_is_given_once(tmp_path):
    file = str(write_encoder(tmp_path))
    with pytest.raises(SettingsError, match="Two encoders are the same"):
        load_encoders([file, file], torch.device("cpu"), torch.float32)


@pytest.fixture
def patches(tmp_path):
    rng = np.random.default_rng(0)
    with PatchSetWriter.create(tmp_path / "patches", ["a", "b"], (32, 32), mpp=1.0) as writer:
        writer.add(rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8), label=0, patient="p", split="train")
        writer.finish({"step": "preprocess"})
    return PatchSet.open(tmp_path / "patches")


def test_a_patch_set_is_embedded_once_per_encoder(tmp_path, patches, monkeypatch):
    encoder = load_encoder(str(write_encoder(tmp_path / "one")))
    first = patch_features(encoder, patches)
    calls = []
    monkeypatch.setattr(type(encoder), "features", lambda self, images: calls.append(1) or images.flatten(1))
    np.testing.assert_array_equal(patch_features(encoder, patches), first)
    assert not calls
    assert len(patch_features(encoder, patches.where(np.arange(3)))) == 3
    assert len(calls) == 1, "another view is other patches"
    patch_features(load_encoder(str(write_encoder(tmp_path / "two", seed=1))), patches)
    assert len(calls) == 2, "other weights are another encoder"


def test_a_damaged_cache_is_replaced(tmp_path, patches):
    encoder = load_encoder(str(write_encoder(tmp_path / "one")))
    first = patch_features(encoder, patches)
    (file,) = cache_folder().iterdir()
    file.write_bytes(b"not an array")
    np.testing.assert_array_equal(patch_features(encoder, patches), first)
    np.testing.assert_array_equal(np.load(file), first)


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path, patches, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HISTOFORGE_CACHE", str(tmp_path / "file"))
    assert len(patch_features(load_encoder(str(write_encoder(tmp_path / "one"))), patches)) == 8
    assert "are not kept" in "".join(capsys.readouterr())
