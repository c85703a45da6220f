"""One pass over patches, and Inception through clean-fid's own network and resizer, without a network connection."""

import numpy as np
import pytest
import torch
from cleanfid.features import build_feature_extractor
from cleanfid.resize import build_resizer
from torch import Tensor, nn

from histoforge.core.digests import digest_file
from histoforge.core.errors import ModelError, PatchSetError
from histoforge.metrics.extract import NamedExtractor, extract_features
from histoforge.metrics.inception import FILE_NAME, InceptionExtractor
from histoforge.patches.patchset import PatchSet
from histoforge.patches.writer import PatchSetWriter

PIXELS = np.random.default_rng(0).integers(0, 256, (11, 6, 8, 3), dtype=np.uint8)
MEANS = NamedExtractor("channel means", lambda images: images.mean((2, 3)))


@pytest.mark.parametrize("batch_size", [4, 100])
def test_features_come_in_the_order_of_the_patches_from_unit_range(monkeypatch, batch_size):
    monkeypatch.setattr("histoforge.patches.blocks.BLOCK_BYTES", 8 * PIXELS[0].nbytes)
    result = extract_features(MEANS, PIXELS, batch_size=batch_size)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, (PIXELS / 127.5 - 1).mean((1, 2)), rtol=1e-5, atol=1e-6)


def test_a_patch_set_gives_the_features_of_its_pixels(tmp_path):
    with PatchSetWriter.create(tmp_path / "set", classes=["a", "b"], patch_size=(6, 8), mpp=1.0) as writer:
        writer.add(PIXELS, label=np.arange(11) % 2)
        writer.finish(made_by={})
    patches = PatchSet.open(tmp_path / "set").where(np.array([7, 2, 9]))
    np.testing.assert_array_equal(extract_features(MEANS, patches), extract_features(MEANS, PIXELS[[7, 2, 9]]))


def test_bfloat16_is_used_where_asked():
    convolution = nn.Conv2d(3, 4, 3)
    dtypes = []

    def features(images: Tensor) -> Tensor:
        maps = convolution(images)
        dtypes.append(maps.dtype)
        return maps.mean((2, 3))

    exact = extract_features(NamedExtractor("convolution", features), PIXELS)
    rough = extract_features(NamedExtractor("convolution", features), PIXELS, precision="bfloat16")
    assert dtypes == [torch.float32, torch.bfloat16]
    assert rough.dtype == np.float32
    np.testing.assert_allclose(rough, exact, atol=0.02)


def test_an_extractor_whose_features_are_not_finite_is_named():
    broken = NamedExtractor("resnet34 (seed 3)", lambda images: images.mean((2, 3)) / 0)
    with pytest.raises(ModelError, match=r"resnet34 \(seed 3\)"):
        extract_features(broken, PIXELS)


def test_no_patches_are_refused():
    with pytest.raises(PatchSetError, match="no patches"):
        extract_features(MEANS, PIXELS[:0])


class Layers(nn.Module):
    """Stands in for the TorchScript network: [B, 3, 299, 299] in [-1, 1] to [B, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 3 * 2048).view(3, 2048))

    def forward(self, images: Tensor) -> Tensor:
        return (images.square().mean((2, 3)) @ self.weight).view(-1, 2048, 1, 1)


class StandIn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = Layers()

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "mine.pt"
    torch.jit.script(StandIn()).save(str(path))
    return path


def test_inception_equals_clean_fids_own_pass(weights, monkeypatch):
    """clean-fid looks for its file in /tmp; here it is pointed to the stand-in and run as its mode 'clean' runs."""
    folder = weights.parent / "cleanfid"
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(weights.read_bytes())
    monkeypatch.setattr("cleanfid.features.platform.system", lambda: "Windows")
    monkeypatch.chdir(folder)
    network = build_feature_extractor("clean", torch.device("cpu"), use_dataparallel=False)
    resize = build_resizer("clean")
    batch = torch.from_numpy(np.stack([resize(patch) for patch in PIXELS])).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = network(batch).numpy()
    result = extract_features(InceptionExtractor(weights), PIXELS, batch_size=4)
    assert result.shape == (11, 2048)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_inception_names_its_weights_and_checks_them(weights):
    digest = digest_file(weights)
    assert InceptionExtractor(weights, sha256=digest.upper()).name == f"Inception-v3 (unknown weights {digest[:12]})"
    with pytest.raises(ModelError, match=digest):
        InceptionExtractor(weights, sha256="0" * 64)


def test_inception_weights_that_are_missing_or_something_else_are_named(tmp_path):
    with pytest.raises(ModelError, match="no Inception weights at"):
        InceptionExtractor(tmp_path / "nowhere.pt")
    (tmp_path / "text.pt").write_text("not a network")
    with pytest.raises(ModelError, match=r"text\.pt is not the TorchScript Inception"):
        InceptionExtractor(tmp_path / "text.pt")
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "linear.pt"))
    with pytest.raises(ModelError, match=r"linear\.pt is not the TorchScript Inception"):
        InceptionExtractor(tmp_path / "linear.pt")
