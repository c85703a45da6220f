import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from histoforge.generators import wgan_gp


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 4 * 2, 1))

    def forward(self, images):
        return self.body(images).squeeze(1)


@pytest.fixture
def setting():
    torch.manual_seed(0)
    return Critic().double(), torch.rand(5, 3, 8, 4).double(), torch.rand(5, 3, 8, 4).double()


def rng():
    return torch.Generator().manual_seed(3)


def naive_penalty(critic, real, fake):
    """Compute the penalty from the Jacobian of each image at the same points."""
    position = torch.rand(len(real), 1, 1, 1, generator=rng()).double()
    total = 0.0
    for t, x, y in zip(position, real, fake, strict=True):
        point = ((1 - t) * y + t * x).float().double()
        jacobian = torch.autograd.functional.jacobian(lambda p: critic(p[None])[0], point, create_graph=True)
        total = total + (jacobian.flatten().norm() - 1) ** 2
    return total / len(real)


def test_penalty_equals_image_by_image_gradients(setting):
    critic, real, fake = setting
    penalty = wgan_gp.gradient_penalty(lambda x: critic(x.double()), real, fake, rng())
    expected = naive_penalty(critic, real, fake)
    torch.testing.assert_close(penalty.double(), expected, rtol=1e-5, atol=0)
    gradients = torch.autograd.grad(penalty, list(critic.parameters())[:-1])
    references = torch.autograd.grad(expected, list(critic.parameters())[:-1])
    for gradient, reference in zip(gradients, references, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-7)


def test_penalty_of_a_linear_critic_is_known(setting):
    _, real, fake = setting
    weight = torch.randn(3 * 8 * 4, dtype=torch.float64)
    penalty = wgan_gp.gradient_penalty(lambda x: x.double().flatten(1) @ weight, real, fake, rng())
    torch.testing.assert_close(penalty.double(), (weight.norm() - 1) ** 2, rtol=1e-5, atol=0)


def test_penalty_of_a_constant_critic_is_one_and_has_finite_gradients(setting):
    _, real, fake = setting
    scale = torch.zeros((), requires_grad=True)
    penalty = wgan_gp.gradient_penalty(lambda x: scale * x.flatten(1).sum(1), real, fake, rng())
    torch.testing.assert_close(penalty, torch.tensor(1.0), rtol=1e-5, atol=0)
    (gradient,) = torch.autograd.grad(penalty, scale)
    assert bool(torch.isfinite(gradient))


def test_penalty_under_bfloat16_is_close_to_float32(setting):
    critic, real, fake = (value.float() for value in setting)
    with torch.autocast("cpu", torch.bfloat16):
        low = wgan_gp.gradient_penalty(critic, real, fake, rng())
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, wgan_gp.gradient_penalty(critic, real, fake, rng()), rtol=2e-2, atol=0)


def test_losses_are_the_wasserstein_estimate():
    real, fake = torch.tensor([3.0, 5.0]), torch.tensor([1.0, 2.0])
    assert float(wgan_gp.critic_loss(real, fake)) == -2.5
    assert float(wgan_gp.generator_loss(fake)) == -1.5


def test_penalty_is_differentiable_in_the_critics_weights():
    torch.manual_seed(0)
    real, fake = torch.rand(2, 3, 2, 2), torch.rand(2, 3, 2, 2)

    def penalty(weight):
        return wgan_gp.gradient_penalty(lambda x: (x.double().flatten(1) @ weight).tanh(), real, fake, rng()).double()

    weight = torch.randn(12, dtype=torch.float64, requires_grad=True)
    assert gradcheck(penalty, weight, eps=1e-3, atol=1e-2, rtol=1e-2)
