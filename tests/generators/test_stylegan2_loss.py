"""Losses and regularisers of StyleGAN2 against closed forms and autograd's Jacobian."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from histoforge.generators.stylegan2 import loss
from histoforge.generators.stylegan2.loss import (
    PathLengthPenalty,
    discriminator_loss,
    generator_loss,
    mixed,
    path_lengths,
    r1_penalty,
)

IMAGES = (2, 3, 4, 4)


def test_the_losses_are_cross_entropies_of_the_scores():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0])
    ones, zeros = torch.ones(2), torch.zeros(2)
    entropy = F.binary_cross_entropy_with_logits
    assert_close(discriminator_loss(real, fake), entropy(real, ones) + entropy(fake, zeros))
    assert_close(generator_loss(fake), entropy(fake, ones))


def test_r1_of_a_linear_critic_is_half_its_squared_weights():
    weight = torch.randn(3, 4, 4, requires_grad=True)
    penalty = r1_penalty(lambda images: (images * weight).sum((1, 2, 3)), torch.randn(5, 3, 4, 4))
    assert_close(penalty, weight.square().sum() / 2)
    penalty.backward()
    assert_close(weight.grad, weight.detach())


def test_r1_of_a_quadratic_critic_depends_on_the_images():
    real = torch.randn(5, 3, 4, 4)
    penalty = r1_penalty(lambda images: images.square().sum((1, 2, 3)) / 2, real)
    assert_close(penalty, real.square().sum((1, 2, 3)).mean() / 2)


def linear(styles, matrix):
    """Images of a linear map of all layers' styles together."""
    return (styles.flatten(1) @ matrix.t()).view(IMAGES)


@pytest.mark.parametrize("layers", [1, 3])
def test_path_lengths_of_a_linear_map_are_those_of_its_jacobian(layers):
    torch.manual_seed(0)
    matrix, y = torch.randn(48, 5 * layers), torch.randn(IMAGES)
    styles = torch.randn(2, layers, 5, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(lambda s: linear(s[None].expand(2, -1, -1), matrix)[0], styles[0])
    lengths = []
    for direction in y:
        transposed = torch.einsum("chw,chwld->ld", direction, jacobian) / 4  # 4x4 px
        lengths.append(transposed.square().sum(1).mean().sqrt())
    assert_close(path_lengths(linear(styles, matrix), styles, y), torch.stack(lengths))


def test_the_penalty_is_the_distance_from_the_moving_average():
    torch.manual_seed(0)
    matrix, y = torch.randn(48, 5, requires_grad=True), torch.randn(IMAGES)
    styles, penalty = torch.randn(2, 1, 5, requires_grad=True), PathLengthPenalty(decay=0.25)
    average = 0.0
    for _ in range(3):
        lengths = path_lengths(linear(styles, matrix), styles, y).detach()
        average += 0.25 * (float(lengths.mean()) - average)
        value = penalty(linear(styles, matrix), styles, y)
        assert float(penalty.average) == pytest.approx(average, rel=1e-5)
        assert_close(value, (lengths - average).square().mean())
    value.backward()
    assert matrix.grad.abs().max() > 0
    other = PathLengthPenalty(decay=0.25)
    other.load_state_dict(penalty.state_dict())
    assert other.average == penalty.average


def test_the_moving_average_is_that_of_all_processes(monkeypatch):
    monkeypatch.setattr(loss, "mean", lambda local: local + 3.0)  # as if the other processes had longer paths
    styles, penalty = torch.randn(2, 1, 5, requires_grad=True), PathLengthPenalty(decay=1.0)
    images, y = linear(styles, torch.randn(48, 5)), torch.randn(IMAGES)
    penalty(images, styles, y)
    assert_close(penalty.average, path_lengths(images, styles, y).mean().detach() + 3)


def test_a_descent_along_the_penalty_makes_lengths_equal():
    torch.manual_seed(0)
    matrix, y = torch.randn(48, 5, requires_grad=True), torch.randn(IMAGES)
    styles, penalty = torch.randn(2, 1, 5, requires_grad=True), PathLengthPenalty(decay=1.0)
    values = []
    for _ in range(30):
        value = penalty(linear(styles, matrix), styles, y)
        (gradient,) = torch.autograd.grad(value, matrix)
        matrix.data -= 0.5 * gradient
        values.append(value.item())
    assert values[-1] < 0.01 * values[0]


def test_mixing_takes_later_layers_from_the_second_style():
    first, second = torch.zeros(4000, 6, 1), torch.ones(4000, 6, 1)
    result = mixed(first, second, 0.9, torch.Generator().manual_seed(0)).squeeze(2)
    assert (result.diff(dim=1) >= 0).all()
    later = result.sum(1)
    assert (later > 0).float().mean() == pytest.approx(0.9, abs=0.02)
    shares = torch.bincount(later.long(), minlength=7)[1:6] / 4000
    assert_close(shares, torch.full((5,), 0.9 / 5), rtol=0.12, atol=0)
    assert torch.equal(mixed(first, second, 0.0, torch.Generator()), first)
