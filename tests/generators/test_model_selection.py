import numpy as np
import pytest
import torch
from torch import nn

from histoforge.core.seeds import numpy_rng
from histoforge.generators.model_selection import FID, PIXEL_FID, FidScorer, ModelSelection, contradiction, share_labels
from histoforge.metrics.extract import NamedExtractor
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.training.model_files import ModelInfo
from histoforge.training.state import load_state, save_state


def network(value):
    net = nn.Linear(1, 1)
    nn.init.constant_(net.weight, value)
    nn.init.zeros_(net.bias)
    return net


def observed(scores, alpha=0.5):
    selection = ModelSelection(alpha)
    for index, score in enumerate(scores):
        selection.add(10 + index, score, network(index))
    return selection


def test_smoothing_is_equation_5_by_hand():
    assert observed([8.0, 4.0, 2.0, 6.0]).smoothed == [8.0, 6.0, 4.0, 5.0]
    assert observed([8.0, 4.0], alpha=0.75).smoothed == [8.0, 7.0]


def test_the_lowest_smoothed_score_wins_over_the_lowest_raw_one():
    raw = [9.0, 1.0, 9.0, 3.0, 3.0, 3.0]
    selection = observed(raw)  # smoothed: 9, 5, 7, 5, 4, 3.5
    assert int(np.argmin(raw)) == 1
    assert selection.best_epoch == 15
    assert float(selection.best_weights["weight"]) == 5.0


def test_ties_go_to_the_earliest_epoch():
    assert observed([4.0, 4.0, 4.0]).best_epoch == 10


def test_the_kept_weights_are_a_copy():
    selection, net = ModelSelection(0.5), network(1.0)
    selection.add(1, 2.0, net)
    nn.init.constant_(net.weight, 7.0)
    assert float(selection.best_weights["weight"]) == 1.0


def test_survives_a_checkpoint(tmp_path):
    before, after = observed([8.0, 4.0]), ModelSelection(0.5)
    save_state(tmp_path / "state", before.state_dict())
    after.load_state_dict(load_state(tmp_path / "state"))
    before.add(12, 5.0, network(2))
    after.add(12, 5.0, network(2))
    assert vars(after)["smoothed"] == vars(before)["smoothed"]
    assert after.best_epoch == before.best_epoch
    torch.testing.assert_close(dict(after.best_weights), dict(before.best_weights))


def test_labels_follow_the_classes_shares():
    labels = np.array([0] * 30 + [1] * 10)
    assert np.bincount(share_labels(labels, 80, seed=0)).tolist() == [60, 20]
    assert len(share_labels(labels, 50, seed=0)) == 50
    assert sorted(share_labels(labels, 40, seed=0)) == sorted(labels)


class Replay:
    """A generator that draws given patches."""

    def __init__(self, pool, classes):
        self.pool = pool
        self.info = ModelInfo(kind="generator", method="replay", config={}, classes=classes, patch_size=(8, 8))

    def sample(self, labels, rng):
        rows = torch.randint(len(self.pool), (len(labels),), generator=rng)
        return self.pool[rows]


@pytest.fixture
def patches(tmp_path):
    images = numpy_rng(0, "test").integers(0, 256, (64, 8, 8, 3)).astype(np.uint8)
    with PatchSetWriter.create(tmp_path / "set", ["a", "b"], (8, 8)) as writer:
        writer.add(images, label=0, patient="p")
        writer.finish({"step": "test"})
    return PatchSet.open(tmp_path / "set")


def test_the_fid_of_patches_like_the_real_ones_is_lower(patches):
    extractor = NamedExtractor("mean colours", lambda images: images.mean(dim=(2, 3)))
    scorer = FidScorer(extractor, patches, 200, 0, torch.device("cpu"), torch.float32)
    real = torch.from_numpy(patches.images()).permute(0, 3, 1, 2) / 127.5 - 1
    alike, darker = Replay(real, patches.classes), Replay(real * 0.5 - 0.5, patches.classes)
    assert scorer.score(alike) == scorer.score(alike)
    for name in (FID, PIXEL_FID):
        assert scorer.score(alike)[name] < scorer.score(darker)[name] / 10


def test_an_extractor_that_prefers_noise_does_not_choose_it():
    """DDPM's history: noise at epoch 10, then clear patches in drifting colours, which the extractor likes less."""
    fid, pixels = observed([679.0, 900.0, 1196.0], alpha=0.0), observed([4000.0, 500.0, 280.0], alpha=0.0)
    assert (fid.best_epoch, pixels.best_epoch) == (10, 12)
    note = contradiction(fid, pixels)
    assert "epoch 10 is best, but its pixel statistics are 14.3 times as far" in note
    assert note.endswith("epoch 12 was kept.")


@pytest.mark.parametrize("pixels", [[30.0, 20.0, 16.0], [90.0, 20.0, 16.0]])
def test_the_extractor_chooses_unless_pixel_statistics_contradict(pixels):
    assert contradiction(observed([1.0, 9.0, 9.0], alpha=0.0), observed(pixels, alpha=0.0)) == ""


def test_an_extractor_that_failed_its_check_does_not_choose():
    note = contradiction(observed([1.0, 2.0]), observed([2.0, 3.0]), "The extractor x prefers noise.")
    assert note == "The extractor x prefers noise. Pixel statistics chose the epoch instead."
    assert contradiction(ModelSelection(0.5), ModelSelection(0.5), "The extractor x prefers noise.") == ""
