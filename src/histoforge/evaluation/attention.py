"""Attention maps of classifiers that weigh the tiles of an image, on a few test images of each class."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.classifiers.arms import load_classifier
from histoforge.classifiers.backbones.admil import Admil
from histoforge.classifiers.backbones.registry import find_backbone
from histoforge.classifiers.backbones.tile_grid import TileGrid
from histoforge.classifiers.network import Classifier
from histoforge.evaluation.arm_inputs import ArmInput, TestPatches
from histoforge.evaluation.findings import AttentionExample, AttentionMap, TopTile
from histoforge.evaluation.synthetic_sets import draw_rows
from histoforge.patches import PatchSet
from histoforge.patches.device import to_unit


def attention_examples(
    arms: Sequence[ArmInput],
    tested: TestPatches,
    units: NDArray[np.object_],
    count: int,
    seed: int,
    device: torch.device,
) -> list[AttentionExample]:
    """Return test images with the attention of each arm whose backbone weighs tiles; empty if no arm has such a one.

    The classifier of an arm is that of its lowest seed, and with folds that of the first fold, on images that this fold
    tests.

    Args:
        arms: all arms of the study.
        tested: the test patches.
        units: the patient (slide, image) of each test patch, [N].
        count: maximum number of images of each class, drawn by `seed`.
        device: where to compute.
    """
    parts = [arm.parts[0] for arm in arms if find_backbone(str(arm.document["method"])).pools_tiles]
    if not parts or not count:
        return []
    rows = _drawn(tested.patches, tested.rows[parts[0].fold], count, seed)
    images = tested.patches.images(rows)
    true, shown_units = tested.patches.index["class_name"].to_numpy(object)[rows], units[rows]
    maps: list[list[AttentionMap]] = [[] for _ in rows]
    for part in parts:
        classifier = load_classifier(part.path, device)
        for index, image in enumerate(images):
            example = (str(part.document["arm"]), str(true[index]), str(shown_units[index]))
            maps[index].append(_attention(classifier, image, device, *example))
    return [AttentionExample(image, of_image) for image, of_image in zip(images, maps, strict=True)]


def _drawn(patches: PatchSet, rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    of_class = [rows[patches.labels[rows] == label] for label in range(len(patches.classes))]
    return np.concatenate([each[draw_rows(len(each), count, seed, "attention")] for each in of_class])


@torch.inference_mode()
def _attention(
    classifier: Classifier, image: NDArray[np.uint8], device: torch.device, arm: str, class_name: str, unit: str
) -> AttentionMap:
    """Return the attention of a classifier on an image, uint8 [H, W, 3]; the mean over its branches."""
    backbone = classifier.backbone
    assert isinstance(backbone, Admil), "the only backbone that pools tiles"
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].to(device)
    hidden = classifier.trunk(to_unit(pixels)).hidden
    weights = backbone.tile_weights(hidden)[0].mean(0).cpu().numpy()
    probabilities = classifier.tail(hidden).logits[0].double().softmax(0).cpu().numpy()
    grid, predicted = backbone.grid, int(probabilities.argmax())
    top, left = grid.corners[int(weights.argmax())]
    tile = TopTile(
        arm=arm,
        class_name=class_name,
        unit=unit,
        top=top,
        left=left,
        side=grid.side,
        weight=float(weights.max()),
        tiles=int((weights > 0).sum()),
        predicted=classifier.info.classes[predicted],
        probability=float(probabilities[predicted]),
    )
    return AttentionMap(tile, spread(weights, grid, classifier.input_size))


def spread(weights: NDArray[np.float32], grid: TileGrid, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the weight at each pixel, float32 [H, W]: that of the tile that covers it, or the mean of several.

    Tiles outside the bag, of weight 0, do not count; where no other tile is, the weight is 0.

    Args:
        weights: weights of the tiles, [rows, columns].
        grid: the tiles.
        size: height and width of the image, px.
    """
    total, covering = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for weight, (top, left) in zip(weights.ravel(), grid.corners, strict=True):
        tile = np.s_[top : top + grid.side, left : left + grid.side]
        total[tile] += weight
        covering[tile] += weight > 0
    return (total / np.maximum(covering, 1)).astype(np.float32)
