"""Losses of the unified ViT cGAN: both weighings, and the selection of synthetic patches."""

import math

import pytest
import torch
from torch.testing import assert_close

from histoforge.generators.methods import METHODS
from histoforge.generators.vitgan.epoch_choice import TwoCriteria
from histoforge.generators.vitgan.loss import LIMIT, LossWeighing, select

YES, NO = torch.tensor(True), torch.tensor(False)


def test_exponential_weighing_is_equation_7():
    weighing = LossWeighing("exp")
    weighing.real.data.fill_(0.5)
    weighing.synthetic.data.fill_(-1.0)
    total = weighing(torch.tensor(2.0), torch.tensor(3.0), YES)
    assert float(total) == pytest.approx(2 * math.exp(-0.5) + 3 * math.exp(1.0) + 0.5 - 1.0)


def test_logarithmic_weighing_is_that_of_kendall():
    weighing = LossWeighing("log")
    weighing.real.data.fill_(math.log(1.5))
    weighing.synthetic.data.fill_(math.log(0.5))
    total = weighing(torch.tensor(2.0), torch.tensor(3.0), YES)
    expected = 2 / (2 * 1.5**2) + math.log(1.5) + 3 / (2 * 0.5**2) + math.log(0.5)
    assert float(total) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["exp", "log"])
def test_if_nothing_is_selected_its_weight_stays(kind):
    """A2-4: with its s alone in the loss, s would fall without bound."""
    weighing = LossWeighing(kind)
    optimizer = torch.optim.Adam(weighing.parameters(), 0.1, betas=(0.0, 0.99))
    for _ in range(3):
        optimizer.zero_grad()
        weighing(torch.tensor(2.0), torch.tensor(0.0), NO).backward()
        optimizer.step()
    assert float(weighing.synthetic) == 0
    assert float(weighing.real) != 0


def test_the_weights_find_the_logarithm_of_the_loss_within_their_bounds():
    """A2-3: the optimum of exp(-s) L + s is s = log L, and s is clamped to [-4, 4]."""
    weighing = LossWeighing("exp")
    optimizer = torch.optim.Adam(weighing.parameters(), 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        weighing(torch.tensor(2.0), torch.tensor(1e-6), YES).backward()
        optimizer.step()
        weighing.clamp()
    assert float(weighing.real) == pytest.approx(math.log(2), abs=0.02)
    assert float(weighing.synthetic) == -LIMIT


LOGITS = torch.tensor([[2.0, 0.0], [0.3, 0.0], [3.0, 0.0], [0.0, 0.1]])  # p(class 0): 0.88, 0.57, 0.95, 0.48


def selected(labels, apply=True, **values):
    return select(METHODS["vitgan"].config(values), LOGITS.clone().requires_grad_(), torch.tensor(labels), apply)


def test_selects_by_the_probability_of_the_class_drawn():
    chosen = selected([0, 0, 1, 1])
    assert chosen.mask.tolist() == [True, False, False, False]
    assert_close(chosen.loss, torch.nn.functional.cross_entropy(LOGITS[:1], torch.tensor([0])))


def test_or_by_the_highest_probability():
    assert selected([0, 0, 1, 1], confidence_of="max").mask.tolist() == [True, False, True, False]


def test_the_mean_is_over_the_selected_ones():
    chosen = selected([0, 0, 0, 0])
    expected = torch.nn.functional.cross_entropy(LOGITS[[0, 2]], torch.tensor([0, 0]))
    assert_close(chosen.loss, expected)
    assert bool(chosen.any)


def test_nothing_may_be_selected():
    chosen = selected([1, 1, 1, 0])
    assert not chosen.any
    assert float(chosen.loss) == 0


def test_without_selection_all_enter_the_loss_but_the_sure_ones_are_counted():
    chosen = selected([0, 0, 1, 1], apply=False)
    assert_close(chosen.loss, torch.nn.functional.cross_entropy(LOGITS, torch.tensor([0, 0, 1, 1])))
    assert chosen.mask.tolist() == [True, False, False, False]


def test_balanced_selection_gives_each_class_the_same_weight():
    logits = torch.tensor([[2.0, 0.0], [3.0, 0.0], [0.0, 2.5], [0.0, 0.1]])
    labels = torch.tensor([0, 0, 1, 1])
    chosen = select(METHODS["vitgan"].config({"balanced_selection": True}), logits, labels)
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    assert chosen.mask.tolist() == [True, True, True, False]
    assert_close(chosen.loss, (losses[:2].mean() + losses[2]) / 2)
    assert bool(chosen.any)


def test_balanced_selection_waits_until_each_class_passes():
    """A head that favours one class would otherwise be taught to favour it more."""
    chosen = selected([0, 0, 1, 1], balanced_selection=True)
    assert not chosen.any
    assert float(chosen.loss.detach()) == 0
    assert selected([0, 0, 0, 0], balanced_selection=True).any


def choose(*epochs, tolerance=0.005):
    choice = TwoCriteria(tolerance)
    for number, (accuracy, fid) in enumerate(epochs, 1):
        choice.add_epoch(number, accuracy, 0.1, fid, {"generator": {"w": torch.tensor(number)}})
    return choice


def test_the_lowest_fid_near_the_best_accuracy_is_chosen():
    assert choose((0.90, 10), (0.95, 60), (0.946, 50), (0.94, 5)).best_epoch == 3


def test_an_earlier_epoch_stays_eligible_until_the_best_accuracy_is_too_far_above():
    choice = choose((0.90, 10), (0.904, 20))
    assert choice.best_epoch == 1
    choice.add_epoch(3, 0.906, 0.1, 30, {"generator": {"w": torch.tensor(3)}})
    assert choice.best_epoch == 2
    assert int(choice.kept[2]["states"]["generator"]["w"]) == 2


def test_only_epochs_that_may_still_be_chosen_are_kept():
    choice = choose((0.90, 10), (0.90, 5), (0.901, 5), (0.80, 1), (0.903, 7))
    assert sorted(choice.kept) == [3, 5]


def test_without_fid_the_validation_loss_decides():
    choice = TwoCriteria(0.005)
    for number, loss in enumerate((0.3, 0.2, 0.25), 1):
        choice.add_epoch(number, 0.9, loss, None, {})
    assert (choice.best_epoch, choice.epochs) == (2, [])


def test_the_choice_resumes():
    whole = choose((0.90, 10), (0.904, 20), (0.906, 30))
    half, resumed = choose((0.90, 10), (0.904, 20)), TwoCriteria(0.005)
    resumed.load_state_dict(half.state_dict())
    resumed.add_epoch(3, 0.906, 0.1, 30, {"generator": {"w": torch.tensor(3)}})
    assert resumed.best_epoch == whole.best_epoch
    assert sorted(resumed.kept) == sorted(whole.kept)
