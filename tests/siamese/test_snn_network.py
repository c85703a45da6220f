"""The MFT-SNN's network: torchvision's encoder, the embedding, the decoder, and which layers are trained."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

from histoforge.core.errors import ModelError
from histoforge.siamese.network import ENCODER_LAYERS, MftSnn


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MftSnn(width=0.125).eval()


def images(*size, seed=1):
    return torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_encoder_is_torchvisions_vgg16_with_imagenet_normalisation():
    vgg = make_layers(cfgs["D"])
    network = MftSnn()
    network.load_encoder({f"features.{name}": tensor for name, tensor in vgg.state_dict().items()}, "x.pth")
    x = images(48, 32)[:1]
    normalised = ((x + 1) / 2 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(network.maps(x), vgg[:-1](normalised), rtol=1e-3, atol=1e-4)
    assert network.dims == 512
    assert sum(p.numel() for p in network.features.parameters()) == 14_714_688


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (64, 64)])
def test_embeddings_have_length_one_and_cosines_in_0_1(network, size):
    with torch.no_grad():
        embedded = network(images(*size))
    assert embedded.shape == (3, network.dims)
    assert embedded.dtype == torch.float32
    assert embedded.min() >= 0
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))
    cosine, distance = embedded @ embedded.T, torch.cdist(embedded, embedded)
    torch.testing.assert_close(distance**2, 2 - 2 * cosine, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (64, 64)])
def test_the_decoder_makes_images_of_the_requested_size(network, size):
    with torch.no_grad():
        restored = network.decode(network.maps(images(*size)), size)
    assert restored.shape == (3, 3, *size)
    assert restored.abs().max() <= 1


@pytest.mark.parametrize("layers", [0, 1, 3, 8, 12, 13])
def test_early_and_late_maps_are_the_whole_encoder(network, layers):
    x = images(32, 32)
    with torch.no_grad():
        early = network.early_maps(x, layers)
        before = early.clone()
        torch.testing.assert_close(network.late_maps(early, layers), network.maps(x))
    assert torch.equal(early, before)
    assert len(network.trainable_convolutions(layers)) == layers
    late = [module for module in network.features[network._first_of(layers) :] if hasattr(module, "weight")]
    assert late == network.trainable_convolutions(layers)


def test_it_has_vggs_thirteen_convolutions(network):
    assert len(network.trainable_convolutions(13)) == ENCODER_LAYERS == 13


def test_the_autoencoder_overfits_an_image():
    torch.manual_seed(0)
    network, x = MftSnn(width=0.125), F.interpolate(images(4, 4)[:1], size=(16, 16))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        loss = F.mse_loss(network.decode(network.maps(x), (16, 16)), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.25 * losses[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("features.0.weight"), "'features.0.weight' is missing"),
        (lambda w: w.update({"features.2.bias": torch.zeros(64)}), r"'features.2.bias' has the shape \[64\], not"),
    ],
)
def test_weights_that_do_not_fit_are_named(network, change, message):
    weights = dict(network.state_dict())
    change(weights)
    with pytest.raises(ModelError, match=f"weights x.pth do not fit a VGG-16 encoder .{message}"):
        MftSnn(width=0.125).load_encoder(weights, "x.pth")
