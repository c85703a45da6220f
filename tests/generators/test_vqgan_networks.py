"""Networks and losses of VQGAN against naive references: the quantiser, eq. 7, causal attention, and drawing."""

import pytest
import torch
from torch import nn

from histoforge.core.errors import SettingsError
from histoforge.generators.methods import METHODS
from histoforge.generators.vqgan import codebook, loss
from histoforge.generators.vqgan.autoencoder import CodebookAutoencoder
from histoforge.generators.vqgan.discriminator import PatchDiscriminator
from histoforge.generators.vqgan.network import VqganNetwork
from histoforge.generators.vqgan.prior import choose
from histoforge.generators.vqgan.stages import psnr
from histoforge.generators.vqgan.trained import TrainedVqgan
from histoforge.training.model_files import ModelInfo

TINY = {
    "vq_channels": 8,
    "downsamplings": 2,
    "level_blocks": 1,
    "codebook_size": 12,
    "code_channels": 4,
    "discriminator_channels": 4,
    "discriminator_layers": 2,
    "prior_layers": 2,
    "prior_channels": 16,
    "prior_heads": 2,
    "precision": "float32",
    "device": "cpu",
}


def make(**values):
    return METHODS["vqgan"].config({**TINY, **values})


@pytest.fixture(scope="module")
def network():
    """Networks with random weights, whose codes all occur, for patches of 16x24 px and three classes."""
    torch.manual_seed(0)
    network = VqganNetwork(make(), (16, 24), 3).eval()
    nn.init.normal_(network.autoencoder.codebook.weight, 0, 0.3)
    return network


def images(rows=3):
    return torch.rand(rows, 3, 16, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_codes_are_the_nearest_vectors(network):
    coding = network.autoencoder(images())
    vectors = network.autoencoder.codebook.weight
    for row, grid in enumerate(coding.codes):
        for y, x in torch.cartesian_prod(torch.arange(4), torch.arange(6)):
            distances = (vectors - coding.encoded[row, :, y, x]).square().sum(1)
            assert grid[y, x] == distances.argmin()
    assert len(coding.codes.unique()) > 3
    assert torch.equal(network.autoencoder.encode(images()), coding.codes)
    torch.testing.assert_close(network.autoencoder.decode(coding.codes), coding.restored.clamp(-1, 1))


def test_the_codebooks_loss_pulls_both_ways_and_beta_weights_the_encoder(network):
    """Van den Oord et al. 2017, eq. 3: each term with its own gradient."""
    autoencoder = network.autoencoder
    coding = autoencoder(images())
    nearest = autoencoder.codebook(coding.codes).permute(0, 3, 1, 2)
    to_codes = (nearest - coding.encoded.detach()).square().mean()
    to_encoder = (nearest.detach() - coding.encoded).square().mean()
    torch.testing.assert_close(coding.codebook_loss, to_codes + 0.25 * to_encoder)
    wanted = [coding.encoded, autoencoder.codebook.weight]
    (encoder, codes) = torch.autograd.grad(coding.codebook_loss, wanted, retain_graph=True)
    torch.testing.assert_close(encoder, torch.autograd.grad(0.25 * to_encoder, coding.encoded, retain_graph=True)[0])
    torch.testing.assert_close(codes, torch.autograd.grad(to_codes, autoencoder.codebook.weight, retain_graph=True)[0])


def test_the_gradient_passes_straight_through_the_quantiser(network):
    """The encoder gets the gradient of the image at the vectors of the codes, as if it had given them itself."""
    autoencoder, target = network.autoencoder, torch.randn(3, 3, 16, 24)
    coding = autoencoder(images())
    (gradient,) = torch.autograd.grad((coding.restored * target).sum(), coding.encoded)
    vectors = autoencoder.codebook(coding.codes).permute(0, 3, 1, 2).detach().requires_grad_()
    restored = autoencoder.vq.decode(vectors, force_not_quantize=True).sample
    (expected,) = torch.autograd.grad((restored * target).sum(), vectors)
    assert expected.abs().max() > 0
    torch.testing.assert_close(gradient, expected, rtol=1e-2, atol=1e-3 * float(expected.abs().max()))


def test_near_codes_are_told_apart_at_any_precision(network):
    """In bfloat16 both vectors would be equally near."""
    autoencoder = CodebookAutoencoder(make(codebook_size=2, code_channels=1, vq_channels=4))
    with torch.no_grad():
        autoencoder.vq.quant_conv.weight.zero_()
        autoencoder.vq.quant_conv.bias.fill_(1.0)
        autoencoder.codebook.weight.copy_(torch.tensor([[1.002], [1.001]]))
    with torch.autocast("cpu", torch.bfloat16):
        assert (autoencoder.encode(images()) == 1).all()


def test_the_adaptive_weight_is_the_quotient_of_gradients():
    """Eq. 7 for a last layer L with reconstruction |Lx - t| and score sum(Lx): gradients by hand."""
    layer = nn.Parameter(torch.tensor([2.0, -1.0]))
    x, target = torch.tensor([[1.0, 2.0], [3.0, 1.0]]), torch.tensor([1.0, 1.0])
    values = x @ layer  # 0 and 5
    weight = loss.adaptive_weight((values - target).abs().sum(), loss.generator_loss(values), layer)
    reconstruction = torch.tensor([-1 + 3, -2 + 1.0])
    adversarial = torch.tensor([1 + 3, 2 + 1.0]) / -2
    torch.testing.assert_close(weight, reconstruction.norm() / (adversarial.norm() + 1e-6))
    assert not weight.requires_grad
    flat = loss.adaptive_weight(values.sum(), 0 * values.sum(), layer)
    assert flat == 1e4


def test_the_discriminators_loss_is_a_hinge():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    torch.testing.assert_close(loss.discriminator_loss(real, fake), torch.tensor((0 + 0.5 + 2) / 6 + (0 + 1 + 2) / 6))
    torch.testing.assert_close(loss.generator_loss(fake), torch.tensor(2 / 3))


def test_the_discriminator_is_as_published():
    """Isola et al. 2017, appendix 6.1.2: C64-C128-C256-C512 and one score per place, whose receptive field is 70 px."""
    discriminator = PatchDiscriminator(METHODS["vqgan"].config({}))
    kernels = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512)
    biases_and_norms = 64 + 2 * (128 + 256 + 512) + 1
    assert sum(weight.numel() for weight in discriminator.parameters()) == kernels + biases_and_norms
    tiny = PatchDiscriminator(make(discriminator_layers=3)).eval()
    image = torch.zeros(1, 3, 128, 128, requires_grad=True)
    scores = tiny(image)
    assert scores.shape == (1, 1, 14, 14)
    (gradient,) = torch.autograd.grad(scores[0, 0, 7, 7], image)
    assert gradient[0].abs().sum(0).gt(0).any(0).sum() == 70


def test_the_default_autoencoder_has_the_levels_of_the_published_one():
    with torch.device("meta"):
        autoencoder = CodebookAutoencoder(METHODS["vqgan"].config({}))
    assert autoencoder.vq.config.block_out_channels == (128, 128, 256, 256, 512)
    assert autoencoder.codebook.weight.shape == (1024, 256)


def test_shares_and_perplexity():
    shares = codebook.shares(torch.tensor([[0, 0], [3, 3]]), 5)
    torch.testing.assert_close(shares, torch.tensor([0.5, 0, 0, 0.5, 0]))
    torch.testing.assert_close(codebook.perplexity(shares), torch.tensor(2.0))
    torch.testing.assert_close(codebook.perplexity(torch.full((7,), 1 / 7)), torch.tensor(7.0))


def test_codes_without_use_are_restarted_at_outputs_of_the_encoder():
    vectors, restarts = nn.Embedding(4, 2), codebook.CodeRestarts(4, after=3)
    before, rng = vectors.weight.detach().clone(), torch.Generator().manual_seed(0)
    encoded = torch.arange(12.0).reshape(2, 2, 1, 3) + 100
    used = [[0, 1], [0, 1], [0, 2], [0, 2], [0, 2], [0, 0]]
    counts = [int(restarts.update(vectors, codebook.shares(torch.tensor(codes), 4), encoded, rng)) for codes in used]
    assert counts == [0, 0, 1, 0, 1, 1], "the code 3 after three steps and again, the code 1 three after its last use"
    assert torch.equal(vectors.weight[[0, 2]], before[[0, 2]])
    outputs = encoded.permute(0, 2, 3, 1).flatten(0, 2).tolist()
    assert vectors.weight[1].tolist() in outputs
    assert vectors.weight[3].tolist() in outputs


def test_a_code_depends_on_its_predecessors_and_its_class_alone(network):
    prior, labels = network.prior, torch.tensor([0])
    codes = torch.randint(12, (1, 24), generator=torch.Generator().manual_seed(2))
    logits = prior(codes, labels)
    changed = codes.clone()
    changed[0, 10] = (codes[0, 10] + 1) % 12
    other = prior(changed, labels)
    torch.testing.assert_close(other[:, :11], logits[:, :11])
    assert ((other - logits).abs().amax(2)[0, 11:] > 1e-6).all()
    assert ((prior(codes, torch.tensor([2])) - logits).abs().amax(2) > 1e-6).all()


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 0), (0.5, 0), (1.0, 3)])
def test_codes_drawn_with_a_cache_are_those_of_the_whole_network(network, temperature, top_k, monkeypatch):
    """Each code follows from the logits that the network gives for all codes before it."""
    seen = []

    def noted(logits, uniform, kept):
        seen.append(logits)
        return choose(logits, uniform, kept)

    monkeypatch.setattr("histoforge.generators.vqgan.prior.choose", noted)
    uniform = torch.rand(5, 24, generator=torch.Generator().manual_seed(3))
    labels = torch.tensor([0, 1, 2, 1, 0])
    with torch.inference_mode():
        codes = network.prior.draw(labels, uniform, temperature, top_k)
        whole = network.prior(codes, labels) / temperature
    torch.testing.assert_close(torch.stack(seen, dim=1), whole, rtol=1e-4, atol=1e-5)
    assert torch.equal(choose(whole.flatten(0, 1), uniform.flatten(), top_k).view(5, 24), codes)
    if top_k:
        assert (codes[:, :, None] == whole.topk(top_k, dim=2).indices).any(2).all()


def test_codes_are_chosen_by_their_probability():
    logits = torch.tensor([0.1, 0.6, 0.3]).log().expand(10_000, 3)
    uniform = (torch.arange(10_000) + 0.5) / 10_000
    share = torch.bincount(choose(logits, uniform), minlength=3) / 10_000
    torch.testing.assert_close(share, torch.tensor([0.1, 0.6, 0.3]), rtol=0, atol=2e-4)
    kept = torch.bincount(choose(logits, uniform, top_k=2), minlength=3) / 10_000
    torch.testing.assert_close(kept, torch.tensor([0, 2 / 3, 1 / 3]), rtol=0, atol=2e-4)
    assert choose(logits[:2], torch.tensor([0.0, 1 - 2**-24]), top_k=2).tolist() == [1, 2]


def test_psnr_is_that_of_values_between_minus_one_and_one():
    a = torch.zeros(2, 3, 4, 4)
    b = torch.stack([torch.full((3, 4, 4), 0.2), torch.full((3, 4, 4), -0.02)])
    torch.testing.assert_close(psnr(a, b), torch.tensor((20.0 + 40.0) / 2))
    assert 58 < psnr(a, a) < 60


def test_equal_generators_give_equal_patches(network):
    config = make()
    info = ModelInfo(
        kind="generator", method="vqgan", config=config.model_dump(), classes=["a", "b", "c"], patch_size=(16, 24)
    )
    trained, labels = TrainedVqgan(info, config, network, torch.device("cpu")), torch.tensor([0, 1, 2, 2])
    first, second = (trained.sample(labels, torch.Generator().manual_seed(7)) for _ in range(2))
    assert first.shape == (4, 3, 16, 24)
    assert torch.equal(first, second)
    assert not torch.equal(first, trained.sample(labels, torch.Generator().manual_seed(8)))
    assert (first[2] != first[3]).any()


@pytest.mark.parametrize(
    ("values", "size", "message"),
    [
        (
            {},
            (16, 18),
            "downsamplings=2 cannot make patches of 16x18 px.* multiples of 4: preprocess to 16x16 or 16x20",
        ),
        ({"discriminator_layers": 3}, (16, 16), "discriminator_layers=3 cannot make patches of 16x16 px.* at least 24"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(values, size, message):
    with pytest.raises(SettingsError, match=message):
        METHODS["vqgan"].check_size(make(**values), size)


def test_settings_that_do_not_fit_together_are_refused():
    with pytest.raises(SettingsError, match="prior_channels=16 must be a multiple of prior_heads=3"):
        make(prior_heads=3)
    with pytest.raises(SettingsError, match="lpips_sha256 is the checksum of lpips_weights"):
        make(lpips_sha256="0" * 64)
