import pytest
import torch

from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.critic import HistoganCritic
from histoforge.generators.histogan.generator import HistoganGenerator
from histoforge.generators.histogan.geometry import Geometry
from histoforge.generators.histogan.loss import at_each_stage, critic_loss, generator_loss

TINY = {
    "z_dim": 6,
    "up_blocks": 2,
    "stages": 2,
    "base_channels": 16,
    "min_channels": 8,
    "residual_blocks": 1,
    "critic_channels": 8,
    "critic_max_channels": 16,
    "minibatch_kernels": 4,
    "minibatch_dims": 3,
}


def networks(patch_size=(16, 8), classes=3, **settings):
    torch.manual_seed(0)
    config = HistoganConfig.make({**TINY, **settings})
    geometry = Geometry.of(config, patch_size)
    critics = [HistoganCritic(config, geometry, stage, classes) for stage in range(geometry.stages)]
    return config, HistoganGenerator(config, geometry, classes), torch.nn.ModuleList(critics)


def rng():
    return torch.Generator().manual_seed(0)


def test_each_stage_draws_an_image_of_twice_the_size_in_range():
    _, generator, _ = networks(stages=3, patch_size=(32, 16))
    images = generator(torch.randn(4, 6), torch.tensor([0, 1, 2, 0]))
    assert [tuple(image.shape) for image in images] == [(4, 3, 8, 4), (4, 3, 16, 8), (4, 3, 32, 16)]
    assert all(image.dtype == torch.float32 and float(image.detach().abs().max()) <= 1 for image in images)


def test_attention_stands_after_the_first_stage():
    _, generator, _ = networks()
    images, attention = generator.draw(torch.randn(2, 6), torch.tensor([0, 1]))
    positions = images[0].shape[2] * images[0].shape[3]
    assert attention.shape == (2, positions, positions)


def test_the_label_alone_changes_the_image():
    _, generator, _ = networks()
    generator.eval()
    z = torch.randn(1, 6)
    first, second = (generator(z, torch.tensor([label]))[-1] for label in (0, 1))
    assert float((first - second).detach().abs().mean()) > 1e-4


def test_later_stages_know_the_label_too():
    _, generator, _ = networks()
    labels = torch.tensor([0, 1])
    torch.nn.init.normal_(generator.later[0].up.norm.affine.gamma)
    x = torch.randn(1, 8, 8, 4).expand(2, -1, -1, -1)
    first, second = generator.later[0](x, labels)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("norm", ["cbn", "cln", "none"])
@pytest.mark.parametrize("sn", ["last", "all"])
def test_critics_score_each_stage(norm, sn):
    _, generator, critics = networks(critic_norm=norm, sn=sn)
    labels = torch.tensor([0, 1, 2, 0])
    for critic, images in zip(critics, generator(torch.randn(4, 6), labels), strict=True):
        scores = critic(images, labels)
        assert scores.shape == (4,)
        assert scores.dtype == torch.float32


def test_a_critic_without_norm_still_knows_the_label():
    _, _, critics = networks(critic_norm="none", minibatch_discrimination=False)
    images = torch.rand(1, 3, 16, 8)
    first, second = (critics[1](images, torch.tensor([label])).detach() for label in (0, 1))
    assert not torch.allclose(first, second)


def test_stacked_batches_score_as_each_by_itself():
    _, _, critics = networks(critic_norm="cln")
    critics.eval()
    real, fake, labels = torch.rand(4, 3, 16, 8), torch.rand(4, 3, 16, 8), torch.tensor([0, 1, 2, 0])
    both = critics[1](torch.cat([real, fake]), labels.repeat(2), batches=2)
    apart = torch.cat([critics[1](real, labels), critics[1](fake, labels)])
    torch.testing.assert_close(both, apart, rtol=1e-4, atol=1e-5)


def test_lower_stages_see_means_over_areas():
    images = torch.arange(3 * 4 * 4, dtype=torch.float32).view(1, 3, 4, 4)
    small, whole = at_each_stage(images, 2)
    assert whole is images
    torch.testing.assert_close(small[0, 0, 0, 0], images[0, 0, :2, :2].mean())


@pytest.mark.parametrize("norm", ["cbn", "cln"])
def test_the_critics_loss_is_the_sum_over_stages(norm):
    _, generator, critics = networks(critic_norm=norm, minibatch_discrimination=False)
    critics.eval()
    labels = torch.tensor([0, 1, 2, 0])
    real = at_each_stage(torch.rand(4, 3, 16, 8), 2)
    fake = [image.detach() for image in generator(torch.randn(4, 6), labels)]
    loss, values = critic_loss(critics, real, fake, labels, 50.0, rng())
    expected = sum(c(f, labels).mean() - c(r, labels).mean() for c, r, f in zip(critics, real, fake, strict=True))
    torch.testing.assert_close(values["wasserstein"], -expected.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss, expected + 50.0 * values["penalty"], rtol=1e-4, atol=1e-4)


def test_the_generators_step_leaves_no_gradient_in_the_critics():
    _, generator, critics = networks()
    labels = torch.tensor([0, 1, 2, 0])
    generator_loss(critics, generator(torch.randn(4, 6), labels), labels).backward()
    assert all(p.grad is None and p.requires_grad for p in critics.parameters())
    assert all(p.grad is not None for p in generator.embed.parameters())


def test_the_penalty_reaches_the_critics_weights_under_bfloat16():
    _, generator, critics = networks()
    labels = torch.tensor([0, 1, 2, 0])
    with torch.autocast("cpu", torch.bfloat16):
        fake = [image.detach() for image in generator(torch.randn(4, 6), labels)]
        loss, _ = critic_loss(critics, at_each_stage(torch.rand(4, 3, 16, 8), 2), fake, labels, 10.0, rng())
    loss.backward()
    for name, weight in critics.named_parameters():
        assert weight.grad is not None, name
        assert bool(torch.isfinite(weight.grad).all()), name


@pytest.mark.parametrize("norm", ["cln", "none"])
def test_the_penalty_is_about_the_gradient_of_each_score_for_its_own_image(norm):
    """Minibatch discrimination makes a score depend on other images, whose gradients the penalty excludes."""
    _, _, critics = networks(critic_norm=norm, stages=1)
    torch.nn.init.normal_(critics[0].fc.weight)
    critics[0].eval()  # spectral normalisation stays as it is
    real, fake = (torch.rand(4, 3, 16, 8, generator=rng()) * 2 - 1 for _ in range(2))
    labels = torch.tensor([0, 1, 2, 0])
    _, values = critic_loss(critics, [real], [fake], labels, 1.0, rng())
    points = torch.lerp(fake, real, torch.rand(4, 1, 1, 1, generator=rng()))
    jacobian = torch.autograd.functional.jacobian(lambda images: critics[0](images, labels), points).flatten(2)
    norms = jacobian.diagonal().T.norm(dim=1)
    assert float(jacobian.square().sum()) > 1.001 * float(norms.square().sum()), "scores depend on other images"
    torch.testing.assert_close(values["penalty"], (norms - 1).square().mean())
