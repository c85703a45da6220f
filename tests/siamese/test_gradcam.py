"""Grad-CAM maps show the positions that contribute to the similarity."""

import numpy as np
import torch
from PIL import Image
from tiny_guide import noise, random_guide
from torch.nn import functional as F

from histoforge.patches.device import to_unit
from histoforge.siamese.gradcam import explained_layer, gradcam, gradcam_pictures, overlaid


def unit(count: int, seed: int, size: int = 32) -> torch.Tensor:
    return to_unit(torch.from_numpy(noise(count, seed, size)).permute(0, 3, 1, 2))


def test_maps_are_float32_from_0_to_1_and_finer_than_the_deepest():
    guide = random_guide()
    maps = gradcam(guide, unit(5, 0, 64))
    assert maps.shape == (5, 8, 8)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps.amax((1, 2)), torch.ones(5))
    assert float(maps.min()) >= 0
    assert explained_layer(guide.network, unit(1, 0, 128)) is guide.network.features[-1]


def test_at_the_last_convolution_each_position_has_its_exact_share_of_the_similarity():
    guide, images, others = random_guide(), unit(3, 1, 128), unit(3, 2, 128)
    reference = guide.embed(others)
    maps = gradcam(guide, images, reference)
    with torch.no_grad():
        features = guide.network.maps(images)
    shares = torch.einsum("bchw,bc->bhw", features, reference)
    torch.testing.assert_close(maps, shares / shares.amax((1, 2), keepdim=True))
    lengths = features.mean((2, 3)).norm(dim=1)
    torch.testing.assert_close(shares.mean((1, 2)) / lengths, F.cosine_similarity(guide.embed(images), reference))


def test_the_map_follows_selvarajus_formula_at_an_inner_layer():
    """ReLU(sum_c A_c mean(d s / d A_c)), with gradients by autograd."""
    guide, images = random_guide(), unit(2, 3, 64)
    layers = list(guide.network.features)
    cut = layers.index(explained_layer(guide.network, images)) + 1
    hidden = images * guide.network.scale + guide.network.shift
    with torch.no_grad():
        for layer in layers[:cut]:
            hidden = layer(hidden)
    hidden.requires_grad_()
    late = hidden
    for layer in layers[cut:]:
        late = layer(late)
    score = (late.mean((2, 3)) * guide.embed(images)).sum()
    (slope,) = torch.autograd.grad(score, hidden)
    expected = F.relu((hidden * slope.mean((2, 3), keepdim=True)).sum(1)).detach()
    torch.testing.assert_close(gradcam(guide, images), expected / expected.amax((1, 2), keepdim=True))


def test_a_batch_equals_single_patches_and_does_not_change_the_guide():
    guide, images = random_guide(), unit(34, 4)
    before = images.clone()
    maps = gradcam(guide, images)
    torch.testing.assert_close(maps[33:], gradcam(guide, images[33:]))
    torch.testing.assert_close(images, before, rtol=0, atol=0)
    assert not images.requires_grad
    assert all(not weight.requires_grad and weight.grad is None for weight in guide.network.parameters())
    assert not any(module._forward_hooks for module in guide.network.modules())


def test_warm_colours_are_where_the_tissue_is():
    """A patch that is blank except for one corner: the map is highest in that corner."""
    guide = random_guide(size=64)
    patch = np.full((1, 64, 64, 3), 124, np.uint8)
    patch[0, :32, :32] = noise(1, 5)[0]
    maps = gradcam(guide, to_unit(torch.from_numpy(patch).permute(0, 3, 1, 2)))[0]
    assert float(maps[1:4, 1:4].mean()) > 2 * float(maps[5:7, 5:7].mean())


def test_pictures_contain_each_patch_and_its_overlay(tmp_path):
    guide, patches = random_guide(), noise(6, 6)
    gradcam_pictures(guide, patches, tmp_path / "pictures" / "gradcam.png")
    picture = np.asarray(Image.open(tmp_path / "pictures" / "gradcam.png"))
    tile, gap = 96, 2
    assert picture.shape == (2 * tile + gap, 8 * tile + 7 * gap, 3)
    overlays = overlaid(guide, patches)
    for column, expected in ((0, patches[0]), (1, overlays[0]), (2, patches[1])):
        left = column * (tile + gap)
        np.testing.assert_array_equal(picture[1:tile:3, left + 1 : left + tile : 3], expected)
    assert (overlays != patches).any()


def test_a_patch_without_any_activation_is_finite():
    guide = random_guide()
    with torch.no_grad():
        for weight in guide.network.parameters():
            weight.zero_()
    assert float(gradcam(guide, unit(1, 7)).abs().max()) == 0
