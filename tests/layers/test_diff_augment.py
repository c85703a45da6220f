"""Differentiable augmentation: the range of each change, and gradients."""

import pytest
import torch

from histoforge.layers.diff_augment import diff_augment


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(64, 3, 16, 24, generator=rng(1)) * 2 - 1


def test_an_empty_policy_changes_nothing(images):
    assert diff_augment(images, "", rng()) is images


@pytest.mark.parametrize("policy", ["colour", "translation", "cutout", "colour,translation,cutout"])
def test_each_image_is_changed_in_its_own_way_and_gradients_pass(images, policy):
    same = images[:1].expand(64, -1, -1, -1).contiguous().requires_grad_()
    changed = diff_augment(same, policy, rng())
    assert changed.shape == same.shape
    assert len({tuple(image.flatten().tolist()) for image in changed.detach()}) > 20
    torch.testing.assert_close(changed, diff_augment(same, policy, rng()))
    (gradient,) = torch.autograd.grad(changed.sum(), same)
    assert gradient.abs().sum() > 0


def test_colour_is_an_affine_map_of_each_images_values():
    """Brightness alone moves a grey image, by at most 0.5."""
    grey = torch.full((256, 3, 4, 4), 0.25)
    moved = diff_augment(grey, "colour", rng()) - grey
    assert (moved.amax((1, 2, 3)) - moved.amin((1, 2, 3))).max() < 1e-6
    assert -0.5 <= moved.min() < -0.4
    assert 0.4 < moved.max() < 0.5


def test_colour_keeps_the_mean_but_for_brightness_and_scales_contrast(images):
    changed = diff_augment(images, "colour", rng())
    moved = changed.mean((1, 2, 3)) - images.mean((1, 2, 3))
    assert moved.abs().max() < 0.5
    grey_before, grey_after = (x.mean(1) - x.mean((1, 2, 3))[:, None, None] for x in (images, changed))
    contrast = (grey_before * grey_after).sum((1, 2)) / grey_before.square().sum((1, 2))
    assert 0.5 <= contrast.min() < 0.6
    assert 1.4 < contrast.max() <= 1.5


def test_translation_moves_by_an_eighth_at_most_and_fills_with_zeros(images):
    moved = diff_augment(images, "translation", rng())
    shifts = set()
    for before, after in zip(images, moved, strict=True):
        matches = []
        for dy in range(-2, 3):
            for dx in range(-3, 4):
                expected = torch.zeros_like(before)
                expected[:, max(-dy, 0) : 16 - max(dy, 0), max(-dx, 0) : 24 - max(dx, 0)] = before[
                    :, max(dy, 0) : 16 - max(-dy, 0), max(dx, 0) : 24 - max(-dx, 0)
                ]
                if torch.equal(after, expected):
                    matches.append((dy, dx))
        assert len(matches) == 1
        shifts.add(matches[0])
    assert {dy for dy, _ in shifts} == set(range(-2, 3))
    assert {dx for _, dx in shifts} == set(range(-3, 4))


def test_cutout_makes_one_hole_of_half_a_side(images):
    holes = diff_augment(torch.ones_like(images), "cutout", rng()) == 0
    assert (holes[:, 0] == holes[:, 1]).all()
    rows, columns = holes[:, 0].any(2).sum(1), holes[:, 0].any(1).sum(1)
    assert (holes[:, 0].sum((1, 2)) == rows * columns).all()
    assert (rows.max(), columns.max()) == (8, 12)
    assert rows.min() >= 4
    assert columns.min() >= 6
    kept = diff_augment(images, "cutout", rng())
    torch.testing.assert_close(kept[~holes], images[~holes])
