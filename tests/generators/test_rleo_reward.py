"""Each reward against its formula: closed forms, finite differences, and the sum over all random outcomes."""

from itertools import permutations, product

import pytest
import torch
import torch.nn.functional as F

from histoforge.generators.rleo.reward import (
    BASELINE_STEPS,
    RewardTerm,
    estimate_all,
    literal,
    policy,
    reinforce,
    similarity,
    soft_target,
    weighted,
)

WEIGHT = 0.3


def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def logits():
    return (torch.randn(5, generator=rng(), dtype=torch.float64) * 2).requires_grad_()


@pytest.fixture
def similarities():
    return torch.rand(5, generator=rng(), dtype=torch.float64)


def gradient(term, logits):
    return torch.autograd.grad(term, logits)[0]


def embeddings(count, seed):
    return F.normalize(torch.rand(count, 7, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_similarity_is_the_cosine_with_the_ith_real_patch_or_the_nearest_one():
    real, fake = embeddings(6, 0), embeddings(6, 1)
    table = torch.stack([F.cosine_similarity(real, row[None]) for row in fake])  # [fake, real]
    torch.testing.assert_close(similarity(real, fake, "random"), table.diagonal())
    torch.testing.assert_close(similarity(real, fake, "nearest"), table.amax(1))
    twice = similarity(real.bfloat16(), real.bfloat16(), "random")
    assert twice.dtype == torch.float32
    assert float(twice.max()) <= 1


def test_literal_is_equation_4_and_has_no_gradient(logits, similarities):
    term = literal(logits, similarities, WEIGHT)
    torch.testing.assert_close(term, -0.3 * similarities.mean())
    assert not term.requires_grad


def test_policy_is_equation_4_where_every_fake_is_accepted(similarities):
    accepted = torch.full_like(similarities, 50.0)
    torch.testing.assert_close(policy(accepted, similarities, WEIGHT), literal(accepted, similarities, WEIGHT))


def test_policy_raises_logits_by_the_similarity_and_the_slope_of_the_sigmoid(logits, similarities):
    accepted = logits.detach().sigmoid()
    expected = -WEIGHT * similarities * accepted * (1 - accepted) / 5
    torch.testing.assert_close(gradient(policy(logits, similarities, WEIGHT), logits), expected)


def test_soft_target_turns_the_loss_of_the_fakes_into_one_with_the_target_w_s(logits, similarities):
    base = F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))
    whole = F.binary_cross_entropy_with_logits(logits, WEIGHT * similarities)
    torch.testing.assert_close(base + soft_target(logits, similarities, WEIGHT), whole)


def test_soft_target_is_lowest_where_a_fake_is_accepted_with_probability_w_s(similarities):
    best = (WEIGHT * similarities).logit().requires_grad_()
    loss = F.binary_cross_entropy_with_logits(best, torch.zeros_like(best)) + soft_target(best, similarities, WEIGHT)
    torch.testing.assert_close(gradient(loss, best), torch.zeros_like(best))


def test_weighted_gives_each_fake_the_weight_1_minus_w_s_in_the_loss_of_the_fakes(logits, similarities):
    zeros = torch.zeros_like(logits)
    base = F.binary_cross_entropy_with_logits(logits, zeros)
    whole = F.binary_cross_entropy_with_logits(logits, zeros, weight=1 - WEIGHT * similarities)
    torch.testing.assert_close(base + weighted(logits, similarities, WEIGHT), whole)


@pytest.mark.parametrize("term", [policy, soft_target, weighted])
def test_gradients_are_the_differences_of_the_values(term, logits, similarities):
    assert torch.autograd.gradcheck(lambda x: term(x, similarities, WEIGHT), logits)


@pytest.mark.parametrize("known", [2, 3, 5])
def test_scoring_some_fakes_equals_scoring_all_on_average(known, similarities):
    orders, mean = list(permutations(range(5))), torch.zeros_like(similarities)
    for order in map(list, orders):
        mean[order] += estimate_all(similarities[order][:known], 5) / len(orders)
    torch.testing.assert_close(mean, similarities)


@pytest.mark.parametrize("term", [literal, policy, soft_target, weighted])
def test_each_term_is_linear_in_the_similarities(term, logits, similarities):
    other = similarities.flip(0)
    expected = term(logits, similarities, WEIGHT) + 2 * term(logits, other, WEIGHT)
    torch.testing.assert_close(term(logits, similarities + 2 * other, WEIGHT), expected)


@pytest.mark.parametrize("baseline", [0.0, 0.4])
def test_the_mean_of_reinforce_over_all_actions_is_policys_gradient(logits, similarities, baseline):
    accepted = logits.detach().sigmoid()
    mean = torch.zeros_like(accepted)
    for actions in product((0.0, 1.0), repeat=5):
        taken = torch.tensor(actions, dtype=torch.float64)
        chance = torch.where(taken == 1, accepted, 1 - accepted).prod()
        term = reinforce(logits, similarities, WEIGHT, taken, torch.tensor(baseline, dtype=torch.float64))
        mean += chance * gradient(term, logits)
    torch.testing.assert_close(mean, gradient(policy(logits, similarities, WEIGHT), logits))


def test_accepting_a_fake_of_above_average_similarity_becomes_more_likely():
    logits, actions = torch.zeros(2, requires_grad=True), torch.ones(2)
    slope = gradient(reinforce(logits, torch.tensor([0.9, 0.1]), WEIGHT, actions, torch.tensor(0.5)), logits)
    assert slope[0] < 0 < slope[1]


@pytest.mark.parametrize("mode", ["literal", "policy", "soft_target", "weighted"])
def test_only_reinforce_draws_random_numbers(mode, logits, similarities):
    state = rng()
    RewardTerm(mode, WEIGHT, state)(logits, similarities)
    assert torch.equal(state.get_state(), rng().get_state())


def test_the_baseline_is_the_mean_of_earlier_rewards():
    term, earned = RewardTerm("reinforce", WEIGHT, rng()), []
    always = torch.full((4,), 50.0)  # accepts each fake, so it earns the similarities
    for _ in range(7):
        similarities = torch.rand(4, generator=rng())
        term(always, similarities)
        earned.append(similarities.mean())
        torch.testing.assert_close(term.baseline, torch.stack(earned).mean())
    term.steps = 10 * BASELINE_STEPS
    before = term.baseline
    term(always, torch.ones(4))
    torch.testing.assert_close(term.baseline, before + (1 - before) / BASELINE_STEPS)


def test_reinforce_resumes_exactly():
    whole, logits, similarities = RewardTerm("reinforce", WEIGHT, rng()), torch.zeros(8), torch.rand(8, generator=rng())
    for _ in range(3):
        whole(logits, similarities)
    resumed = RewardTerm("reinforce", WEIGHT, torch.Generator())
    resumed.load_state_dict(whole.state_dict())
    for _ in range(3):
        assert torch.equal(whole(logits, similarities), resumed(logits, similarities))
