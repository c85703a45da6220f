import torch

from histoforge.layers.minibatch_discrimination import MinibatchDiscrimination


def test_equals_a_loop_over_pairs_and_kernels():
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(6, kernels=3, dims=4)
    f = torch.randn(5, 6)
    weight = layer.projection.weight.view(3, 4, 6)
    expected = torch.zeros(5, 3)
    for i in range(5):
        for j in range(5):
            for b in range(3):
                if i != j:
                    expected[i, b] += torch.exp(-(weight[b] @ f[i] - weight[b] @ f[j]).abs().sum())
    torch.testing.assert_close(layer(f), torch.cat([f, expected], dim=1))


def test_identical_samples_have_the_maximum_closeness():
    layer = MinibatchDiscrimination(6, kernels=3, dims=4)
    closeness = layer(torch.randn(1, 6).expand(5, 6))[:, 6:]
    torch.testing.assert_close(closeness, torch.full((5, 3), 4.0))


def test_defaults_are_those_of_the_specification():
    assert MinibatchDiscrimination(10).projection.weight.shape == (64 * 16, 10)


def test_distances_are_float32_under_bfloat16():
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(6, kernels=3, dims=4)
    f = 0.02 * torch.randn(5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        low = layer(f)
    torch.testing.assert_close(low, layer(f), rtol=1e-2, atol=1e-2)
    assert low.dtype == torch.float32
