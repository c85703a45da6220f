"""The losses of DCGAN and related methods against their formulas, and one step for real and fake gradients."""

import pytest
import torch

from histoforge.generators.dcgan.config import GanConfig
from histoforge.generators.dcgan.network import DcganDiscriminator
from histoforge.generators.dcgan.objective import CrossEntropy, DiscriminatorStep, Hinge, LeastSquares, Wasserstein
from histoforge.generators.dcgan.train import objective_of
from histoforge.generators.methods import METHODS
from histoforge.patches.device import Batch


def step(real_scores, fake_scores, discriminator=None, real=None, fake=None):
    real = torch.zeros(len(real_scores), 3, 16, 16) if real is None else real
    fake = torch.zeros_like(real) if fake is None else fake
    batch = Batch(real, torch.zeros(len(real), dtype=torch.int64), torch.arange(len(real)))
    rng = torch.Generator().manual_seed(0)
    return DiscriminatorStep(discriminator, real, fake, real_scores, fake_scores, batch, fake, rng)


@pytest.fixture
def scores():
    return torch.tensor([2.0, -0.5, 0.3, 4.0]), torch.tensor([-1.5, 0.7, -3.0, 0.1])


@pytest.mark.parametrize("target", [1.0, 0.9])
def test_cross_entropy_with_smoothing_on_the_real_side_alone(scores, target):
    real, fake = (torch.sigmoid(values.double()) for values in scores)
    expected = -(target * real.log() + (1 - target) * (1 - real).log()).mean() - (1 - fake).log().mean()
    loss, _ = CrossEntropy(target).discriminator(step(*scores))
    torch.testing.assert_close(loss, expected.float())
    torch.testing.assert_close(CrossEntropy(target).generator(scores[1]), -fake.log().mean().float())
    torch.testing.assert_close(CrossEntropy(target).output(scores[0]), real.float())


def test_hinge(scores):
    loss, _ = Hinge().discriminator(step(*scores))
    assert loss.item() == pytest.approx((0 + 1.5 + 0.7 + 0) / 4 + (0 + 1.7 + 0 + 1.1) / 4)
    assert Hinge().generator(scores[1]).item() == pytest.approx(-scores[1].mean().item())


def test_least_squares(scores):
    real, fake = scores
    loss, _ = LeastSquares().discriminator(step(real, fake))
    assert loss.item() == pytest.approx(
        0.5 * sum((r - 1) ** 2 for r in real.tolist()) / 4 + 0.5 * sum(f**2 for f in fake.tolist()) / 4
    )
    assert LeastSquares().generator(fake).item() == pytest.approx(0.5 * sum((f - 1) ** 2 for f in fake.tolist()) / 4)


def test_wasserstein_with_the_penalty_of_a_known_critic(scores):
    """A critic w.x has the gradient w everywhere, so that its penalty is (|w| - 1)^2."""
    weight = torch.randn(3 * 16 * 16)
    images = torch.randn(4, 3, 16, 16)

    def critic(x):
        return x.flatten(1) @ weight

    loss, values = Wasserstein(10.0).discriminator(step(*scores, critic, images, -images))
    penalty = (weight.norm() - 1).square()
    torch.testing.assert_close(values["penalty"], penalty, rtol=1e-4, atol=0)
    torch.testing.assert_close(values["wasserstein"], scores[0].mean() - scores[1].mean())
    torch.testing.assert_close(loss, 10 * penalty - values["wasserstein"], rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("norm", ["layer", "none", "batch"])
def test_the_penalty_reaches_every_weight_of_the_critic(norm, dtype):
    """This includes the matrix products that replace small convolutions in bfloat16."""
    torch.manual_seed(0)
    critic = DcganDiscriminator(GanConfig(discriminator_maps=8, discriminator_norm=norm), (16, 16), 2)
    real, fake = torch.randn(2, 4, 3, 16, 16).clamp(-1, 1)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        _, values = Wasserstein(10.0).discriminator(step(critic(real), critic(fake), critic, real, fake))
        loss, _ = Wasserstein(1e6).discriminator(step(critic(real), critic(fake), critic, real, fake))
    assert 0 < values["penalty"] < 2
    gradients = torch.autograd.grad(loss, [*critic.downs.parameters(), critic.score.weight])
    assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in gradients)


def test_one_step_takes_the_sum_of_both_gradients():
    """The real batch's backward pass, then the fake one's, accumulated: as the gradient of the sum (section III.D)."""
    torch.manual_seed(0)
    network = DcganDiscriminator(GanConfig(discriminator_maps=8), (16, 16), 2)
    real, fake = torch.randn(2, 4, 3, 16, 16)
    for images, target in ((real, 0.9), (fake, 0.0)):
        logits = network(images)
        torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target)).backward()
    accumulated = [p.grad for p in network.parameters()]
    loss, _ = CrossEntropy(0.9).discriminator(step(network(real), network(fake)))
    torch.testing.assert_close(list(torch.autograd.grad(loss, list(network.parameters()))), accumulated)


def test_each_method_has_its_own_losses():
    kinds = {
        "dcgan": CrossEntropy,
        "improved_dcgan": CrossEntropy,
        "sngan": Hinge,
        "wgan_gp": Wasserstein,
        "lsgan": LeastSquares,
    }
    for name, kind in kinds.items():
        assert isinstance(objective_of(METHODS[name].config_class()), kind)
    assert objective_of(METHODS["improved_dcgan"].config_class()).real_target == 0.9
