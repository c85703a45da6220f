"""Copies are found however they were turned, shifted, recompressed or recoloured; innocent sets are not accused."""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from real_data import shared_data
from scipy.ndimage import gaussian_filter
from skimage.color import hsv2rgb, rgb2hsv

from histoforge.metrics.audit_pixels import AuditPixels
from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.memorisation import MemorisationAudit, audit_memorisation
from histoforge.metrics.registered_copies import Gallery, correlation, find_registered_copies
from histoforge.metrics.structure import Structure, symmetries
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.overlaps import overlapping
from histoforge.phantom.patches import draw_patches

Images = NDArray[np.uint8]
COUNT, COPIED = 80, 8


def recompressed(image: Images) -> Images:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer))


def jittered(image: Images) -> Images:
    """Brighter, of less contrast, and with another hue and saturation, by 7% each."""
    hsv = rgb2hsv(image) * (1, 0.93, 1.07) + (0.07, 0, 0)
    rgb = hsv2rgb(np.stack([hsv[..., 0] % 1, *(hsv[..., axis].clip(0, 1) for axis in (1, 2))], axis=-1))
    return ((0.93 * (rgb - rgb.mean()) + rgb.mean()).clip(0, 1) * 255).round().astype(np.uint8)


CHANGES: dict[str, Callable[[Images], Images]] = {
    "mirrored": lambda image: image[:, ::-1],
    "rotated by 90 degrees": np.rot90,
    "rotated by 180 degrees": lambda image: image[::-1, ::-1],
    "rotated and jittered": lambda image: jittered(image[::-1, ::-1]),
    "shifted by 4 px": lambda image: np.pad(image, ((4, 0), (4, 0), (0, 0)), mode="reflect")[:-4, :-4],
    "recompressed": recompressed,
    "noisy": lambda image: (image + np.random.default_rng(0).normal(0, 5, image.shape)).clip(0, 255).astype(np.uint8),
}


@cache
def phantom() -> tuple[Images, Images]:
    """Training patches, and other patches of the same patients."""
    images = draw_patches(150, (48, 48), seed=3).images
    return images[::2], images[1::2]


@cache
def real_patches(name: str) -> tuple[Images, Images]:
    folder = shared_data("patches", name)
    table = pd.read_csv(folder / "labels.csv").sample(frac=1, random_state=0)[:300].sort_values("patient")
    images = np.stack([np.asarray(Image.open(folder / path).convert("RGB")) for path in table["path"]])
    return images[::2], images[1::2]


def with_copies(training: Images, unseen: Images, change: Callable[[Images], Images]) -> Images:
    images = unseen[:COUNT].copy()
    images[:COPIED] = [change(image) for image in training[10 : 10 + COPIED]]
    return images


def audit(synthetic: Images, training: Images) -> MemorisationAudit:
    """The audit in a feature space where nothing is near."""
    rng = np.random.default_rng(0)
    space = EuclideanSpace(*(rng.normal(size=(n, 4)) for n in (len(synthetic), len(training), 60)), "net")
    return audit_memorisation(space, pixels=AuditPixels(synthetic, training))


@pytest.mark.parametrize("change", CHANGES)
def test_ten_percent_of_changed_copies_are_found_and_paired_with_their_originals(change):
    training, unseen = phantom()
    copies = find_registered_copies(with_copies(training, unseen, CHANGES[change]), Gallery.of(training))
    assert copies.copied
    assert {(pair.synthetic, pair.training) for pair in copies.flagged} == {(n, 10 + n) for n in range(COPIED)}


@pytest.mark.parametrize("change", ["rotated by 180 degrees", "rotated and jittered", "recompressed"])
@pytest.mark.parametrize("name", ["breakhis400x", "osteosarcoma10x"])
def test_changed_copies_of_real_patches_are_found(name, change):
    training, unseen = real_patches(name)
    copies = find_registered_copies(with_copies(training, unseen, CHANGES[change]), Gallery.of(training))
    assert copies.copied
    assert len(copies.flagged) >= COPIED - 1


@pytest.mark.parametrize("name", ["breakhis400x", "osteosarcoma10x"])
def test_unseen_real_patches_of_the_same_patients_are_not_accused(name):
    training, unseen = real_patches(name)
    assert not find_registered_copies(unseen, Gallery.of(training)).copied


@pytest.mark.parametrize("sigma", [0, 2, 5])
def test_unseen_and_blurred_patches_are_not_accused(sigma):
    training, unseen = phantom()
    blurred = gaussian_filter(unseen, (0, sigma, sigma, 0)) if sigma else unseen
    assert not find_registered_copies(blurred, Gallery.of(training)).copied


@pytest.mark.parametrize("sigma", [1, 4, 9])
def test_smooth_noise_as_of_an_undertrained_generator_is_not_accused(sigma):
    training, _ = phantom()
    noise = gaussian_filter(np.random.default_rng(1).normal(size=(COUNT, 48, 48, 3)), (0, sigma, sigma, 0))
    swirls = (170 + 40 * noise / noise.std()).clip(0, 255).astype(np.uint8)
    assert not find_registered_copies(swirls, Gallery.of(training)).copied


def test_glass_is_left_out_even_if_its_pixels_are_equal():
    training, unseen = phantom()
    training = np.concatenate([training, np.full((30, 48, 48, 3), 242, np.uint8)])
    synthetic = np.concatenate([unseen[:COUNT], np.full((20, 48, 48, 3), 242, np.uint8)])
    result = audit(synthetic, training)
    assert not result.copied
    assert len(result.duplicates) == 20
    assert result.registered.n_without_detail >= 20
    assert result.verdict.startswith("No copies of training patches found")


def test_a_set_that_shows_nothing_is_inconclusive():
    training, _ = phantom()
    result = audit(np.full((COUNT, 48, 48, 3), 242, np.uint8), training)
    assert not result.copied
    assert not result.enough
    assert "enough detail to tell" in result.verdict


def test_duplicates_among_the_training_patches_make_an_innocent_set_with_as_many_no_suspect():
    """Sets of real patches contain overlapping tiles, of which some lie on either side of a split."""
    training, unseen = phantom()
    training, unseen = training.copy(), unseen[:COUNT].copy()
    training[-30:] = [recompressed(image) for image in training[:30]]
    unseen[:3] = [recompressed(image) for image in training[40:43]]
    copies = find_registered_copies(unseen, Gallery.of(training))
    assert len(copies.flagged) == 3
    assert copies.reference_flagged >= 50
    assert not copies.copied


def test_a_few_fields_photographed_twice_are_no_copies_when_none_lies_within_the_training_patches():
    """Of four such pairs, all may lie across the split by chance; Fisher's exact test took this for copies."""
    training, unseen = phantom()
    synthetic = unseen[:COUNT].copy()
    synthetic[:4] = [recompressed(image) for image in training[40:44]]
    copies = find_registered_copies(synthetic, Gallery.of(training))
    assert (len(copies.flagged), copies.reference_pairs) == (4, 0)
    across, within = COUNT * len(training), len(training) * (len(training) - 1) / 2
    assert copies.p == pytest.approx(2 * (across / (across + within)) ** 4, rel=0.02)
    assert not copies.copied


def test_both_patches_of_a_training_pair_count_once():
    training, unseen = phantom()
    training = training.copy()
    training[-3:] = [recompressed(image) for image in training[:3]]
    copies = find_registered_copies(unseen[:COUNT], Gallery.of(training))
    assert (copies.reference_flagged, copies.reference_pairs) == (6, 3)


def test_the_matching_view_is_named():
    training, unseen = phantom()
    synthetic = with_copies(training, unseen, lambda image: jittered(np.rot90(image)))
    flagged = find_registered_copies(synthetic, Gallery.of(training)).flagged
    first = flagged[0]
    turned = symmetries(torch.from_numpy(synthetic[first.synthetic].astype(np.float32).mean(-1))[None])[first.view, 0]
    original = training[first.training].astype(np.float32).mean(-1)
    assert np.corrcoef(turned.numpy().ravel(), original.ravel())[0, 1] > 0.95


def overlapping_tiles(folder: Path, stride: int) -> PatchSet:
    """Tiles of 48 px from one strip of tissue per slide, with 24 level-0 px per `stride` px."""
    strips = draw_patches(2, (48, 240), patients=2, seed=5).images
    with PatchSetWriter.create(folder, ["a"], (48, 48), mpp=0.5) as writer:
        for number, strip in enumerate(strips):
            starts = np.arange(0, 240 - 47, stride)
            tiles = np.stack([strip[:, start : start + 48] for start in starts])
            writer.add(tiles, label=0, patient=f"p{number}", slide=f"s{number}", x=starts * 2, y=np.zeros_like(starts))
        writer.finish(made_by={"config": {"stride": stride}})
    return PatchSet.open(folder)


def test_tiles_that_overlap_on_their_slide_do_not_raise_the_reference(tmp_path):
    tiles = overlapping_tiles(tmp_path / "tiles", 3)
    excluded = overlapping(tiles, np.array([0, 20]))
    per_strip = (tiles.index["slide"] == "s0").sum()
    assert (excluded[:, 0] == 0).sum() == 16, "tiles that start less than 48 px further right"
    assert excluded[:, 1].max() < per_strip
    unplaced = Gallery.of(tiles.images()).flagged(0.8)[0]
    assert unplaced > len(tiles) / 2, "without positions, neighbours look like copies"
    assert Gallery.of(tiles).flagged(0.8)[0] == 0


def test_tiles_that_touch_do_not_overlap(tmp_path):
    tiles = overlapping_tiles(tmp_path / "tiles", 48)
    assert not len(overlapping(tiles, np.arange(len(tiles))))


def test_turned_copies_have_the_same_pixels_and_a_sentence_about_copies():
    training, unseen = phantom()
    synthetic = unseen[:COUNT].copy()
    synthetic[4], synthetic[6] = np.rot90(training[9]), np.rot90(training[5][:, ::-1], 3)
    result = audit(synthetic, training)
    assert result.duplicates == [(4, 9), (6, 5)]
    assert result.verdict == "2 of 80 synthetic patches are exact copies of training patches."
    result = audit(with_copies(training, unseen, CHANGES["rotated and jittered"]), training)
    assert (result.duplicates, result.copied, result.nearer) == ([], True, False)
    assert result.verdict.startswith("Copies of training patches: 8 of 80 synthetic patches")
    assert result.nearer_verdict.startswith("Synthetic patches are not notably nearer to the training patients")


def test_the_correlation_equals_pearsons_at_each_shift():
    rng = np.random.default_rng(4)
    template, image = rng.normal(size=(2, 32, 32)).astype(np.float32)
    inner = template[4:-4, 4:-4].ravel()
    expected = max(np.corrcoef(inner, image[y : y + 24, x : x + 24].ravel())[0, 1] for y in range(9) for x in range(9))
    actual = correlation(torch.from_numpy(template)[None], torch.from_numpy(image)[None])
    torch.testing.assert_close(actual, torch.tensor([expected], dtype=torch.float32))


def test_brightness_and_contrast_leave_the_structure_as_it_is():
    _, unseen = phantom()
    other = (unseen.astype(np.float32) * 0.5 + 40).round().astype(np.uint8)
    kept = Structure.of(unseen).has_detail & Structure.of(other).has_detail
    difference = (Structure.of(unseen).fine() - Structure.of(other).fine()).float()[kept].abs()
    assert difference.mean() < 0.05


@pytest.mark.parametrize(("shape", "count"), [((2, 6, 6), 8), ((2, 4, 6), 4)])
def test_the_symmetries_all_differ(shape, count):
    views = symmetries(torch.arange(int(np.prod(shape))).reshape(shape))
    assert views.shape == (count, *shape)
    assert len({tuple(view.flatten().tolist()) for view in views}) == count
