import pytest
import torch
import torch.nn.functional as F

from histoforge.layers.conditional_batch_norm import ConditionalBatchNorm
from histoforge.layers.conditional_layer_norm import ConditionalLayerNorm
from histoforge.layers.critic_norm import critic_norm

LABELS = torch.tensor([0, 2, 1, 2])


def with_random_affine(norm):
    torch.manual_seed(1)
    torch.nn.init.normal_(norm.affine.gamma)
    torch.nn.init.normal_(norm.affine.beta)
    return norm


@pytest.fixture
def x():
    torch.manual_seed(0)
    return (3 * torch.randn(4, 5, 6, 7) + 2).contiguous(memory_format=torch.channels_last)


def test_batch_norm_has_statistics_of_the_batch_and_scales_of_the_class(x):
    norm = with_random_affine(ConditionalBatchNorm(5, 3))
    plain = F.batch_norm(x, None, None, training=True)
    gamma, beta = norm.affine.gamma, norm.affine.beta
    expected = torch.stack([gamma[c][:, None, None] * plain[i] + beta[c][:, None, None] for i, c in enumerate(LABELS)])
    torch.testing.assert_close(norm(x, LABELS), expected)


def test_batch_norm_in_evaluation_treats_each_image_by_itself(x):
    norm = with_random_affine(ConditionalBatchNorm(5, 3))
    norm(x, LABELS)
    norm.eval()
    torch.testing.assert_close(norm(x, LABELS)[2:3], norm(x[2:3], LABELS[2:3]))


def test_layer_norm_equals_one_group_of_group_norm_with_scales_of_the_class(x):
    norm = with_random_affine(ConditionalLayerNorm(5, 3))
    expected = torch.cat(
        [F.group_norm(x[i : i + 1], 1, norm.affine.gamma[c], norm.affine.beta[c]) for i, c in enumerate(LABELS)]
    )
    torch.testing.assert_close(norm(x, LABELS), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["cbn", "cln"])
def test_starts_without_a_difference_between_classes(x, name):
    norm = critic_norm(name, 5, 3)
    torch.testing.assert_close(norm(x, LABELS), norm(x, LABELS.flip(0)))


@pytest.mark.parametrize(("name", "couples"), [("cbn", True), ("cln", False), ("none", False)])
def test_only_batch_norm_makes_one_image_depend_on_another(x, name, couples):
    norm = critic_norm(name, 5, 3)
    x = x.requires_grad_()
    (gradient,) = torch.autograd.grad((norm(x, LABELS)[0] ** 3).sum(), x)
    assert bool(gradient[0].any())
    assert bool(gradient[1:].any()) is couples


def test_a_critics_batch_norm_keeps_no_running_statistics():
    assert not list(critic_norm("cbn", 5, 3).buffers())
