"""Pairs: each level follows its definition, is drawn from all candidates, balanced, and seeded."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from slides_of_patients import open_patients

from histoforge.core.errors import PatchSetError
from histoforge.siamese.pairs import (
    OTHER_PATIENT,
    SAME_SLIDE,
    SIMILAR,
    Augmentation,
    PairSource,
    Partners,
    augment,
    check_patients,
)

CPU = torch.device("cpu")
NONE = Augmentation(0, 0, 0)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def index(*names):
    """Rows of 'patient slide', as in 'a 1'."""
    return pd.DataFrame([name.split() for name in names], columns=["patient", "slide"])


SHUFFLED = index("b 1", "a 1", "a 2", "b 1", "a 1", "c 1", "b 2", "a 1", "c 1")


@pytest.mark.parametrize("level", [SIMILAR, SAME_SLIDE, OTHER_PATIENT])
def test_partners_are_drawn_uniformly_from_all_of_their_level_only(level):
    partners = Partners(SHUFFLED, CPU)
    slide = SHUFFLED["patient"] + SHUFFLED["slide"]
    for row in range(len(SHUFFLED)):
        if level == SAME_SLIDE and (slide == slide[row]).sum() == 1:
            continue
        allowed = {
            SIMILAR: {row},
            SAME_SLIDE: set(np.flatnonzero(slide == slide[row])) - {row},
            OTHER_PATIENT: set(np.flatnonzero(SHUFFLED["patient"] != SHUFFLED["patient"][row])),
        }[level]
        drawn = Counter(partners.draw(torch.full((600,), row), torch.full((600,), level), rng(row)).tolist())
        assert set(drawn) == allowed
        assert min(drawn.values()) > 600 / len(allowed) / 2


def test_slides_of_two_patients_with_one_name_are_two_slides():
    assert Partners(index("a 1", "b 1", "a 1"), CPU).slides == 2


def test_half_of_the_pairs_are_similar_and_the_levels_of_the_rest_are_equal():
    levels = Partners(index(*["a 1"] * 4, *["b 1"] * 4), CPU).levels(torch.arange(8))
    assert torch.bincount(levels).tolist() == [4, 2, 2]


def test_a_patch_alone_on_its_slide_is_paired_with_another_patient():
    levels = Partners(index("a 1", "a 2", "b 1", "b 2"), CPU).levels(torch.arange(4))
    assert torch.bincount(levels).tolist() == [2, 0, 2]


def test_where_there_is_one_patient_the_dissimilar_pairs_are_of_one_slide():
    levels = Partners(index("a 1", "a 1", "a 2", "a 1"), CPU).levels(torch.arange(4))
    assert levels.tolist() == [SIMILAR, SAME_SLIDE, SIMILAR, SAME_SLIDE]


def test_overviews_have_no_level_of_one_slide():
    levels = Partners(index(*["a 1"] * 4, *["b 1"] * 4), CPU).levels(torch.arange(8), same_slide=False)
    assert torch.bincount(levels).tolist() == [4, 0, 4]


@pytest.mark.parametrize("augment_first", [False, True])
def test_a_similar_pair_is_a_patch_and_its_augmentation(tmp_path, augment_first):
    patches = open_patients(tmp_path / "p")
    source = PairSource(patches, CPU, Augmentation(0.2, 0.2, 0.02), augment_first=augment_first)
    rows = torch.arange(12)
    pairs = source.pairs(rows, rng())
    plain = torch.from_numpy(patches.images(rows.numpy())).permute(0, 3, 1, 2) / 127.5 - 1
    assert torch.allclose(pairs.first, plain, atol=1e-6) != augment_first
    assert pairs.is_dissimilar.tolist() == [float(level != SIMILAR) for level in pairs.levels]
    similar = pairs.levels == SIMILAR
    change = (pairs.first - pairs.second).abs().mean(dim=(1, 2, 3))
    assert 0 < change[similar].max() < 0.4
    again = source.pairs(rows, rng())
    assert torch.equal(again.second, pairs.second)


def test_no_augmentation_changes_nothing():
    images = torch.rand(4, 3, 8, 8, generator=rng()) * 2 - 1
    torch.testing.assert_close(augment(images, NONE, rng()), images)


def test_brightness_contrast_and_noise_have_their_strengths():
    images = torch.rand(500, 3, 8, 8, generator=rng()) * 0.4 - 0.2
    light, spread = images.mean(dim=(1, 2, 3)) + 1, images.std(dim=(1, 2, 3))
    brighter = augment(images, Augmentation(0.3, 0, 0), rng())
    factor = (brighter.mean(dim=(1, 2, 3)) + 1) / light
    assert 0.699 < factor.min() < 0.8
    assert 1.2 < factor.max() < 1.301
    sharper = augment(images, Augmentation(0, 0.3, 0), rng())
    torch.testing.assert_close(sharper.mean(dim=(1, 2, 3)) + 1, light)
    factor = sharper.std(dim=(1, 2, 3)) / spread
    assert 0.699 < factor.min() < 0.8
    assert 1.2 < factor.max() < 1.301
    noise = augment(images, Augmentation(0, 0, 0.05), rng()) - images
    assert noise.std() == pytest.approx(2 * 0.05, rel=0.02)  # [-1, 1] is two units wide
    assert augment(images, Augmentation(1, 1, 1), rng()).abs().max() <= 1


def test_patches_of_one_patient_are_refused_with_advice(tmp_path):
    patches = open_patients(tmp_path / "p", patients=(1, 1, 1)).split("train")
    with pytest.raises(PatchSetError, match=r"The split has 12 images of one patient \('p1'\).*: do this\."):
        check_patients(patches, "The split", "do this")
