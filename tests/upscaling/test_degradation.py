"""The degradations of BSRGAN: range, size, reproducibility, and that each of them takes part."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from histoforge.upscaling import degradation
from histoforge.upscaling.degradation import add_gaussian_noise, blur, compress, degrade, down_sample, gaussian_kernel
from histoforge.upscaling.pairs import enlarge_bicubic, shrink_bicubic


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def images():
    smooth = F.interpolate(torch.rand(4, 3, 8, 6, generator=rng()), scale_factor=8, mode="bicubic")
    return (smooth - 0.5).clamp(-0.6, 0.6)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_images_are_shrunk_within_their_range_and_keep_their_colours(images, scale):
    small = degrade(images, scale, rng())
    assert small.shape == (4, 3, 64 // scale, 48 // scale)
    assert small.dtype == torch.float32
    assert small.abs().max() <= 1
    torch.testing.assert_close(small.mean((2, 3)), images.mean((2, 3)), atol=0.1, rtol=0)


def test_the_seed_alone_decides(images):
    assert torch.equal(degrade(images, 4, rng(1)), degrade(images, 4, rng(1)))
    assert not torch.equal(degrade(images, 4, rng(1)), degrade(images, 4, rng(2)))


def test_every_operation_takes_part_in_random_order(images, monkeypatch):
    seen = []
    for name in ("isotropic_kernel", "anisotropic_kernel", "down_sample", "add_gaussian_noise", "compress"):
        monkeypatch.setattr(degradation, name, recorded(name, getattr(degradation, name), seen))
    orders = set()
    for seed in range(20):
        seen.clear()
        degrade(images[:1], 4, rng(seed))
        assert {"isotropic_kernel", "anisotropic_kernel", "down_sample", "add_gaussian_noise"} < set(seen)
        assert seen[-1] == "compress"
        orders.add(tuple(seen))
    assert {len(order) for order in orders} == {5, 6}  # one compression or two
    assert len(orders) > 15


def recorded(name, function, seen):
    def call(*arguments):
        seen.append(name)
        return function(*arguments)

    return call


def test_an_isotropic_blur_is_scipys():
    image = torch.rand(1, 3, 40, 40, generator=rng())
    blurred = blur(image, gaussian_kernel(21, (2.0, 2.0), 0.3))
    expected = gaussian_filter(image[0].numpy(), sigma=(0, 2, 2), mode="nearest", truncate=5)
    torch.testing.assert_close(blurred[0], torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_an_anisotropic_kernel_has_its_widths_along_its_axes():
    angle = math.pi / 6
    kernel = gaussian_kernel(41, (4.0, 1.5), angle).double()
    assert kernel.sum() == pytest.approx(1)
    y, x = torch.meshgrid(*[torch.arange(41.0) - 20] * 2, indexing="ij")
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    assert float((kernel * along**2).sum().sqrt()) == pytest.approx(4, rel=0.01)
    assert float((kernel * across**2).sum().sqrt()) == pytest.approx(1.5, rel=0.01)


def test_noise_has_each_of_its_levels_and_kinds():
    grey = torch.zeros(1, 3, 32, 32)
    kinds, deviations = set(), []
    for seed in range(60):
        noise = add_gaussian_noise(grey, np.random.default_rng(seed), rng(seed))
        correlation = np.corrcoef(noise[0].flatten(1).numpy())[0, 1]
        kinds.add("grey" if correlation > 0.999 else "independent" if abs(correlation) < 0.1 else "correlated")
        deviations.append(127.5 * float(noise.std()))
    assert kinds == {"grey", "independent", "correlated"}
    assert min(deviations) < 3
    assert 20 < max(deviations) < 27


def test_every_kind_of_down_sampling_keeps_a_flat_image_and_gives_the_size(images):
    flat = torch.full((1, 3, 24, 24), 0.25)
    results = set()
    for seed in range(30):
        torch.testing.assert_close(
            down_sample(flat, (6, 6), np.random.default_rng(seed)), torch.full((1, 3, 6, 6), 0.25)
        )
        small = down_sample(images[:1], (16, 12), np.random.default_rng(seed))
        assert small.shape == (1, 3, 16, 12)
        results.add(round(float(small.square().sum()), 4))
    assert len(results) > 5  # three direct ones, and those by way of random sizes


def test_compression_depends_on_its_quality(images):
    errors = [float((compress(images[:1], np.random.default_rng(s)) - images[:1]).abs().mean()) for s in range(10)]
    assert 0 < min(errors) < 0.7 * max(errors)
    assert max(errors) < 0.1


def test_bicubic_enlargement_undoes_bicubic_shrinking_of_smooth_images(images):
    small = shrink_bicubic(images, 4)
    assert small.shape == (4, 3, 16, 12)
    assert (enlarge_bicubic(small, 4) - images).abs().mean() < 0.05
