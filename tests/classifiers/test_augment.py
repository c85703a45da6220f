"""Traditional augmentation: torchvision's adjustments, with separate factors for each patch."""

import torch
from torch.testing import assert_close
from torchvision.transforms.v2 import functional as tv

from histoforge.classifiers.augment import ColourJitter, adjust_colours, traditional

OFF = ColourJitter(0.0, 0.0, 0.0, 0.0)


def images(count=4):
    # away from 0 and 1, so that nothing is clipped
    return torch.rand(count, 3, 12, 10, generator=torch.Generator().manual_seed(0)) * 0.6 - 0.3


def test_brightness_contrast_and_saturation_are_torchvisions_for_each_patch():
    b, c, s = torch.tensor([[0.9, 1.1, 1.0, 1.05], [1.1, 0.8, 1.2, 1.0], [0.7, 1.0, 1.3, 1.1]])
    adjusted = (adjust_colours(images(), b, c, s, torch.zeros(4)) + 1) / 2
    for i, image in enumerate((images() + 1) / 2):
        expected = tv.adjust_saturation(tv.adjust_contrast(tv.adjust_brightness(image, b[i]), c[i]), s[i])
        assert_close(adjusted[i], expected, atol=2e-3, rtol=0)  # torchvision's grey weights are rounded: .2989


def test_hue_rotates_chroma_and_keeps_luma_and_greys():
    unchanged, hue = torch.ones(4), torch.tensor([0.1, -0.2, 0.25, 0.5])
    turned = adjust_colours(images() * 0.3, unchanged, unchanged, unchanged, hue)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert_close((turned * luma).sum(1), (images() * 0.3 * luma).sum(1), atol=1e-5, rtol=1e-4)
    grey = torch.full((4, 3, 2, 2), 0.2)
    assert_close(adjust_colours(grey, unchanged, unchanged, unchanged, hue), grey, atol=1e-5, rtol=1e-4)
    back = adjust_colours(turned, unchanged, unchanged, unchanged, -hue)
    assert_close(back, images() * 0.3, atol=1e-5, rtol=1e-4)


def test_without_jitter_each_patch_is_either_flipped_or_unchanged():
    x = images(64)
    out = traditional(x, OFF, torch.Generator().manual_seed(3))
    same = torch.isclose(out, x, atol=1e-5).flatten(1).all(1)
    mirrored = torch.isclose(out, x.flip(3), atol=1e-5).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 16 < int(mirrored.sum()) < 48


def test_each_patch_has_separate_factors_drawn_from_the_generator():
    x = torch.full((8, 3, 4, 4), 0.1)
    jitter = ColourJitter(0.2, 0.2, 0.2, 0.05)
    out = traditional(x, jitter, torch.Generator().manual_seed(3))
    assert len({round(float(value), 5) for value in out[:, 0, 0, 0]}) == 8
    assert torch.equal(out, traditional(x, jitter, torch.Generator().manual_seed(3)))


def test_values_stay_in_range():
    x = torch.rand(16, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    out = traditional(x, ColourJitter(1.0, 1.0, 1.0, 0.5), torch.Generator().manual_seed(0))
    assert float(out.abs().max()) <= 1
