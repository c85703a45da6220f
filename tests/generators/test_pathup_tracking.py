"""Large images are drawn as in Algorithm 1."""

import numpy as np
import pytest
import torch
from PIL import Image
from untrained_pathup import untrained_pathup

from histoforge.core.errors import SettingsError
from histoforge.generators.pathup.tracking import check_target, draw_large_image
from histoforge.generators.pathup.tracking_config import TrackingConfig
from histoforge.generators.pathup.windows import pixel_overlap
from histoforge.patches.device import to_uint8


@pytest.fixture(scope="module")
def model():
    return untrained_pathup()


def draw(model, seed=0, size=(48, 64), label=1, **values):
    config = TrackingConfig.make({"steps": 5, "window_batch": 4, **values})
    return draw_large_image(model, label, size, config, torch.Generator().manual_seed(seed))


def test_equal_seeds_draw_equal_images_of_the_size_that_was_asked_for(model):
    first, again, other = (draw(model, seed=seed) for seed in (0, 0, 1))
    assert first.shape == (48, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_bicubic_only_enlarges_the_overview(model):
    overview = to_uint8(model.sample_level(torch.tensor([1]), 1, torch.Generator().manual_seed(0)))[0].numpy()
    expected = Image.fromarray(overview).resize((64, 48), Image.Resampling.BICUBIC)
    assert np.array_equal(draw(model, upscaler="bicubic"), np.asarray(expected))


def test_windows_are_denoised_in_batches_as_patches_of_the_class(model, monkeypatch):
    calls, predict_noise = [], model.predict_noise

    def noted(noisy, times, conditions):
        calls.append((noisy.shape, times.unique().item(), conditions.tolist()))
        return predict_noise(noisy, times, conditions)

    monkeypatch.setattr(model, "predict_noise", noted)
    monkeypatch.setattr(model, "sample_level", lambda labels, level, rng: torch.zeros(1, 3, 32, 32))
    draw(model, strength=0.4)
    assert [shape[0] for shape, _, _ in calls] == [4, 2] * 2  # 2 x 3 windows, 2 of 5 steps
    assert {shape[1:] for shape, _, _ in calls} == {(3, 8, 8)}
    assert [time for _, time, _ in calls] == [399, 399, 199, 199]
    assert {condition for _, _, conditions in calls for condition in conditions} == {2}


@pytest.mark.parametrize(("share", "window", "pixels"), [(0.5, (64, 64), 32), (0, (8, 8), 0), (0.999, (8, 16), 7)])
def test_overlap_is_a_share_of_the_window_and_less_than_it(share, window, pixels):
    assert pixel_overlap(share, window) == pixels


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((16, 64), "An image of 16x64 px is smaller than a window of 32x32 px: choose 32x64."),
        ((64, 62), "An image of 64x62 px is not a multiple of 4 px, the factor of .*: choose 64x64."),
        ((64, 65), "choose 64x64."),
        ((33, 10), "choose 32x32."),
    ],
)
def test_impossible_sizes_are_refused_with_the_nearest_possible_one(size, message):
    with pytest.raises(SettingsError, match=message):
        check_target(size, (32, 32), 4)


@pytest.mark.parametrize("strength", [0, 1, -0.1])
def test_strengths_that_keep_or_lose_the_overview_are_refused(strength):
    with pytest.raises(SettingsError, match="strength"):
        TrackingConfig.make({"strength": strength})
