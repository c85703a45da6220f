import torch
from torch import nn

from histoforge.layers.spectral_norm import spectral_norm


def largest_singular_value(weight):
    return torch.linalg.matrix_norm(weight.flatten(1), ord=2)


def test_the_weight_gets_a_spectral_norm_of_one():
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 12, 3)
    nn.init.normal_(conv.weight, std=3)
    conv = spectral_norm(conv)
    for _ in range(50):
        conv(torch.randn(1, 8, 4, 4))
    torch.testing.assert_close(largest_singular_value(conv.weight), torch.tensor(1.0), rtol=1e-3, atol=0)


def test_value_and_gradient_equal_those_of_torch():
    torch.manual_seed(0)
    ours, reference = nn.Conv2d(4, 6, 3), nn.Conv2d(4, 6, 3)
    reference.load_state_dict(ours.state_dict())
    ours, reference = spectral_norm(ours), nn.utils.parametrizations.spectral_norm(reference, n_power_iterations=1)
    for conv in (ours, reference):
        for _ in range(100):  # until both have found the singular vectors
            conv(torch.zeros(1, 4, 3, 3))
    x = torch.randn(2, 4, 5, 5)
    for conv in (ours, reference):
        conv(x).square().sum().backward()
    torch.testing.assert_close(ours(x), reference(x), rtol=1e-4, atol=1e-5)
    gradient, expected = ours.parametrizations.weight.original.grad, reference.parametrizations.weight.original.grad
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-3)


def test_stays_in_float32_under_bfloat16():
    torch.manual_seed(0)
    conv = spectral_norm(nn.Conv2d(8, 12, 3)).eval()
    full = conv.weight
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(conv.weight, full, rtol=0, atol=0)


def test_evaluation_changes_no_state():
    conv = spectral_norm(nn.Conv2d(2, 3, 3)).eval()
    before = {name: value.clone() for name, value in conv.state_dict().items()}
    conv(torch.randn(1, 2, 4, 4))
    torch.testing.assert_close(dict(conv.state_dict()), before, rtol=0, atol=0)


def test_two_passes_before_one_backward_keep_their_own_vectors():
    conv = spectral_norm(nn.Conv2d(2, 3, 3))
    first, second = conv(torch.randn(1, 2, 4, 4)), conv(torch.randn(1, 2, 4, 4))
    (first.sum() + second.sum()).backward()
    assert bool(torch.isfinite(conv.parametrizations.weight.original.grad).all())
