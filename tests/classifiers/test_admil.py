"""ADMIL: the bag of an image's tiles, its pooling against an explicit loop, and the images that it refuses."""

import pytest
import torch
import torchvision
from torch.testing import assert_close

from histoforge.classifiers.backbones.admil import tissue_share
from histoforge.classifiers.backbones.tile_grid import TileGrid
from histoforge.classifiers.network import Classifier
from histoforge.classifiers.weights import load_backbone
from histoforge.core.errors import ModelError, SettingsError
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.training.model_files import ModelInfo

SIZE = (40, 56)
SETTINGS = {
    "stem": "imagenet",
    "width": 0.25,
    "dropout": 0.5,
    "imagenet_normalisation": False,
    "tile_size": 16,
    "tile_overlap": 0,
    "tile_backbone": "conv4",
    "tile_tissue": 0.0,
    "attention_branches": 1,
}


def make(size=SIZE, **changes):
    torch.manual_seed(0)
    info = ModelInfo(
        kind="classifier", method="admil", config={**SETTINGS, **changes}, classes=["a", "b", "c"], patch_size=size
    )
    classifier = Classifier(info).eval().requires_grad_(False)
    torch.nn.init.normal_(classifier.backbone.attention.w.weight, std=20)  # so that the weights of tiles differ
    return classifier


def images(count=2, size=SIZE):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(
    ("length", "overlap", "starts"),
    [(16, 0, [0]), (17, 0, [0, 1]), (48, 0, [0, 16, 32]), (40, 0, [0, 16, 24]), (40, 4, [0, 12, 24]), (16, 8, [0])],
)
def test_tiles_cover_the_image_and_the_last_is_flush_with_its_border(length, overlap, starts):
    grid = TileGrid.covering((length, 16), 16, overlap)
    assert (list(grid.tops), list(grid.lefts), grid.shape) == (starts, [0], (len(starts), 1))


@pytest.mark.parametrize("branches", [1, 2])
def test_the_network_is_a_loop_over_tiles(branches):
    classifier = make(attention_branches=branches, tile_overlap=4)
    backbone, encoder, attention = classifier.backbone, classifier.backbone.encoder, classifier.backbone.attention
    assert backbone.grid.tops == (0, 12, 24)
    assert backbone.grid.lefts == (0, 12, 24, 36, 40)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    for image, logits in zip(images(), classifier(images()), strict=True):
        embeddings = []
        for top in backbone.grid.tops:
            for left in backbone.grid.lefts:
                tile = (image[None, :, top : top + 16, left : left + 16] + 1) / 2
                tile = (tile - mean.view(3, 1, 1)) / std.view(3, 1, 1)
                embeddings.append(encoder.tail(encoder.trunk(tile, "stages").hidden)[1][0])
        bag = torch.stack(embeddings)
        scores = attention.w(torch.tanh(attention.V(bag)) * torch.sigmoid(attention.U(bag)))
        pooled = [sum(weight * h for weight, h in zip(column.softmax(0), bag, strict=True)) for column in scores.T]
        assert_close(logits, classifier.fc(torch.cat(pooled)))


def test_the_order_of_tiles_changes_nothing():
    classifier, plain = make((32, 48)), images(size=(32, 48))
    swapped = torch.cat([plain[:, :, 16:], plain[:, :, :16].roll(16, dims=3)], dim=2)
    assert_close(classifier(swapped), classifier(plain))


def test_weights_of_tiles_sum_to_one_and_lie_where_the_tiles_do():
    classifier, size = make((32, 48)), (32, 48)
    weights, moved = (
        classifier.backbone.tile_weights(classifier.trunk(batch).hidden)
        for batch in (images(size=size), images(size=size).roll((16, 32), dims=(2, 3)))
    )
    assert weights.shape == (2, 1, 2, 3)
    assert weights.std() > 0.01
    assert_close(weights.sum((2, 3)), torch.ones(2, 1))
    assert_close(moved, weights.roll((1, 2), dims=(2, 3)))


def test_without_w_it_is_the_mean_over_tiles():
    classifier = make()
    torch.nn.init.zeros_(classifier.backbone.attention.w.weight)
    hidden = classifier.trunk(images()).hidden
    assert_close(classifier.features(images()), hidden.mean((2, 3)))


def test_tiles_without_tissue_leave_the_bag_in_every_monte_carlo_pass():
    classifier = make((32, 48), tile_tissue=0.5)
    pink = torch.tensor([0.6, -0.2, 0.4]).view(3, 1, 1)
    image = (images(1, (32, 48)) * 0.2 + pink).clamp(-1, 1)
    image[:, :, :16, 16:] = 0.9  # two tiles of glass
    trunk = classifier.trunk(image)
    expected = torch.tensor([[True, False, False], [True, True, True]])
    assert torch.equal(classifier.backbone.tile_weights(trunk.hidden)[0, 0] > 0, expected)
    masks = (torch.rand(20, *trunk.hidden.shape[1:]) < 0.5) * 2.0
    weights = classifier.backbone.tile_weights(trunk.hidden * masks)
    assert not weights[:, 0, 0, 1:].any()
    repainted = image.clone()
    repainted[:, :, :16, 16:] = -0.9
    assert_close(classifier(repainted), classifier(image))


def test_an_image_without_tissue_keeps_its_tiles():
    classifier = make(tile_tissue=0.5)
    weights = classifier.backbone.tile_weights(classifier.trunk(torch.full((1, 3, *SIZE), 0.9)).hidden)
    assert_close(weights, torch.full_like(weights, 1 / 12))


def test_tissue_is_what_has_colour():
    image = torch.full((1, 3, 10, 10), 0.9)
    image[:, 1, :3] = 0.5
    assert_close(tissue_share(image), torch.tensor([0.3]))


def test_maps_of_tiles_are_put_together_as_they_lie_in_the_image():
    classifier = make((32, 48))
    maps = classifier.trunk(images(size=(32, 48)), "blocks").maps
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 16, 24), (16, 8, 12), (16, 4, 6), (16, 2, 3)]
    grid, encoder = classifier.backbone.grid, classifier.backbone.encoder
    scaled = images(size=(32, 48)) * classifier.backbone.scale + classifier.backbone.shift
    for tile, (top, left) in zip(grid.cut(scaled), grid.corners, strict=True):
        alone = encoder.trunk(tile, "blocks").maps[0]
        assert_close(maps[0][:, :, top // 2 : top // 2 + 8, left // 2 : left // 2 + 8], alone)


def test_published_weights_of_the_tiles_network_fit():
    torch.manual_seed(1)
    published = torchvision.models.resnet18()
    backbone = make(tile_backbone="resnet18", width=1.0, imagenet_normalisation=True).backbone
    before = backbone.attention.V.weight.clone()
    load_backbone(backbone, published.state_dict(), "resnet18.pth")
    assert torch.equal(backbone.encoder.layer4[1].conv2.weight, published.layer4[1].conv2.weight)
    assert torch.equal(backbone.attention.V.weight, before)
    with pytest.raises(ModelError, match="do not fit the backbone"):
        load_backbone(make().backbone, published.state_dict(), "resnet18.pth")


@pytest.mark.parametrize(
    ("size", "changes", "message"),
    [
        ((40, 12), {}, r"tiles of 16 px, and they have 40x12 px: set tile_size to at most 12, or preprocess again"),
        (SIZE, {"tile_backbone": "admil"}, "tile_backbone=admil would cut tiles into tiles: choose another"),
        (SIZE, {"tile_backbone": "conv5"}, "no backbone 'conv5'.*did you mean 'conv4'"),
        (SIZE, {"tile_backbone": "vit_ti_16", "tile_size": 24}, "'vit_ti_16', which embeds tiles, .* tile_size is 24"),
    ],
)
def test_images_and_networks_that_do_not_fit_are_refused(size, changes, message):
    with pytest.raises(SettingsError, match=message):
        make(size, **changes)


def test_tiles_that_overlap_whole_are_refused():
    with pytest.raises(SettingsError, match="tile_overlap=64 leaves no step between tiles of tile_size=64"):
        TrainClassifierConfig.make({"backbone": "admil", "tile_overlap": 64})
