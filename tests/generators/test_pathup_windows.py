"""Windows cover a large latent, and merge as A3-5 and A3-8 say."""

from itertools import pairwise

import pytest
import torch
from processes import run_ranks

from histoforge.generators.pathup.windows import (
    edge_distance,
    merge_windows,
    weight_map,
    window_borders,
    window_corners,
    window_starts,
)
from histoforge.training import processes


def test_the_papers_large_image_has_49_windows():
    assert len(window_corners((256, 256), (64, 64), 32)) == 49


@pytest.mark.parametrize("shift", [0, 1, 5])
@pytest.mark.parametrize(("length", "window", "overlap"), [(8, 8, 4), (9, 8, 0), (29, 8, 2), (40, 8, 7), (64, 8, 3)])
def test_windows_cover_every_pixel_and_the_last_is_flush(length, window, overlap, shift):
    shift = min(shift, window - overlap - 1)
    starts = window_starts(length, window, overlap, shift)
    covered = {pixel for start in starts for pixel in range(start, start + window)}
    assert covered == set(range(length))
    assert starts[-1] == length - window
    assert all(after - before <= window - overlap for before, after in pairwise(starts))


def test_borders_are_where_windows_start_and_end_inside_the_area():
    assert window_borders(20, 8, 2) == [6, 8, 12, 14]
    assert window_borders(8, 8, 4) == []


def test_shifts_move_all_windows_but_the_first_and_the_last():
    assert window_starts(20, 8, 4) == [0, 4, 8, 12]
    assert window_starts(20, 8, 4, shift=3) == [0, 1, 5, 9, 12]


def test_both_readings_of_the_papers_weights_are_the_same():
    side = 64
    places = torch.arange(side) + 0.5
    rows, columns = (places - side / 2).abs()[:, None], (places - side / 2).abs()[None]
    torch.testing.assert_close(weight_map("paper", (side, side)), 1 - torch.maximum(rows, columns) / side)
    assert [round(float(w), 3) for w in weight_map("paper", (side, side)).aminmax()] == [0.508, 0.992]


def test_tents_fade_out_and_no_weights_are_equal():
    tent = weight_map("tent", (4, 8))
    assert torch.equal(tent, edge_distance((4, 8)))
    assert tent.shape == (4, 8)
    assert tent[0, 0] == 1 / 16
    assert tent.max() < 0.5
    assert weight_map("none", (4, 8)).unique().tolist() == [1.0]


def place_values(corners):
    """Windows whose value is their row at all pixels."""
    return torch.stack([torch.full((2, 4, 4), float(row)) for row, _ in corners])


def test_overlapping_windows_merge_to_their_weighted_mean():
    weights = weight_map("paper", (4, 4))
    merged = merge_windows(place_values, window_corners((6, 4), (4, 4), 2), (2, 6, 4), weights, batch_size=2)
    assert merged.shape == (2, 6, 4)
    assert torch.equal(merged[:, :2], torch.zeros(2, 2, 4))
    assert torch.equal(merged[:, 4:], torch.full((2, 2, 4), 2.0))
    upper, lower = weights[2], weights[0]
    torch.testing.assert_close(merged[0, 2], 2 * lower / (upper + lower))


def merge_in_process(folder, batch_size):
    processes.join(torch.device("cpu"))
    corners = window_corners((11, 9), (4, 4), 3)
    merged = merge_windows(place_values, corners, (2, 11, 9), weight_map("paper", (4, 4)), batch_size)
    torch.save(merged, folder / f"merged-{processes.rank()}.pt")


@pytest.mark.parametrize("batch_size", [5, 1000], ids=["several batches", "one batch"])
def test_processes_share_the_windows(batch_size, tmp_path):
    (tmp_path / "one").mkdir()
    merge_in_process(tmp_path / "one", batch_size)
    run_ranks(tmp_path, 2, merge_in_process, tmp_path, batch_size)
    expected = torch.load(tmp_path / "one" / "merged-0.pt")
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f"merged-{rank}.pt"), expected)
