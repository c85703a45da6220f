"""Initial weights: from a file that the user names, checked, and never run as code."""

import hashlib
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from histoforge.classifiers.backbones.registry import find_backbone
from histoforge.classifiers.weights import load_backbone, read_weights
from histoforge.core.errors import ModelError


def build(name, patch_size=(64, 64), width=1.0):
    return find_backbone(name).build(name, patch_size, {"stem": "imagenet", "width": width})


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(5)
    return resnet18().state_dict()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_torchvisions_weights_fit_the_backbone(tmp_path, published, suffix):
    path = tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":
        torch.save(published, path)
    else:
        save_file(published, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_weights(path.as_uri())[1] == digest
    weights, file_digest = read_weights(str(path), digest.upper())
    assert file_digest == digest
    network = build("resnet18")
    load_backbone(network, weights, str(path))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, published[name])


def test_another_width_is_refused_with_the_name_of_the_tensor(published):
    network = build("resnet18", width=0.5)
    with pytest.raises(ModelError, match=r"do not fit the backbone \('conv1.weight' has the shape \[64, 3, 7, 7\]"):
        load_backbone(network, published, "w.pth")


def test_a_missing_tensor_is_refused(published):
    network = build("resnet34")
    with pytest.raises(ModelError, match="'layer1.2.conv1.weight' is missing"):
        load_backbone(network, published, "w.pth")


def test_another_sha256_is_refused(tmp_path, published):
    save_file(published, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="has the SHA-256 .* not 0000"):
        read_weights(str(tmp_path / "w.safetensors"), "0" * 64)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="There is no weights file"):
        read_weights(str(tmp_path / "none.pth"))


class Harmful:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of the file was run')",)


def test_code_in_a_pickle_is_not_run(tmp_path):
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(ModelError, match=r"cannot be read \(it contains more than tensors\): give a"):
        read_weights(str(tmp_path / "w.pth"))


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_without_weights_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00not weights")
    with pytest.raises(ModelError, match="cannot be read|is missing or damaged"):
        read_weights(str(tmp_path / name))
    if name.endswith(".pth"):
        torch.save({"epoch": 3}, tmp_path / name)
        with pytest.raises(ModelError, match="not a plain state_dict"):
            read_weights(str(tmp_path / name))
