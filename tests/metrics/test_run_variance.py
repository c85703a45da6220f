"""The variance from training against identities and simulated variances."""

import numpy as np
import pytest

from histoforge.metrics.crossed import crossed_difference
from histoforge.metrics.run_variance import between_seeds, paired_part, run_parts
from histoforge.metrics.scored_runs import ScoredRuns


def runs_of(scores: np.ndarray, generators: list[object] | None = None) -> ScoredRuns:
    """Scores that no patient changes."""
    return ScoredRuns(scores, np.repeat(scores[:, None], 6, 1), 6, generators or [None] * len(scores))


def by_generator(means: list[float], spread: float = 0.0) -> ScoredRuns:
    """Three seeds per generator, whose scores are `spread` apart."""
    seeds = spread * np.array([-1.0, 0.0, 1.0])
    return runs_of(np.add.outer(means, seeds).ravel(), [name for name in range(len(means)) for _ in seeds])


def test_without_other_arms_it_is_the_variance_of_the_mean() -> None:
    scores = np.random.default_rng(0).normal(0.6, 0.1, 5)
    assert run_parts(runs_of(scores)) == [(pytest.approx(scores.var(ddof=1) / 5), 4)]
    assert run_parts(by_generator([0.5, 0.7, 0.9])) == [(pytest.approx(0.04 / 3), 2)]


def test_seeds_of_a_generator_are_told_from_generators() -> None:
    variance, df = between_seeds(by_generator([0.5, 0.9], spread=0.1))
    assert (variance, df) == (pytest.approx(0.01), 4)


def test_generators_vary_at_least_as_their_seeds_make_them_vary() -> None:
    alike = by_generator([0.6, 0.6], spread=0.1)
    (variance, df) = run_parts(alike)[0]
    assert (variance, df) == (pytest.approx(0.01 / 3 / 2), 1)
    apart = by_generator([0.4, 0.8], spread=0.1)
    assert run_parts(apart)[0] == (pytest.approx(0.04), 1)


def test_arms_of_the_same_generators_are_averaged_half_and_half() -> None:
    arm, *others = (by_generator([0.5, 0.5 + gap]) for gap in (0.1, 0.2, 0.3))
    own, rest = run_parts(arm, [arm, *others])
    values = np.array([0.1, 0.2, 0.3]) ** 2 / 4
    assert own[0] + rest[0] == pytest.approx((values[0] + values.mean()) / 2)
    assert (own[1], rest[1]) == (1, 2)


def test_arms_of_other_generators_say_nothing_about_these() -> None:
    arm = by_generator([0.5, 0.7])
    other = runs_of(np.array([0.1, 0.9]), ["x", "y"])
    assert run_parts(arm, [arm, other]) == run_parts(arm)


def test_the_variance_of_seeds_is_averaged_over_all_arms() -> None:
    reference = runs_of(np.array([0.5, 0.6, 0.7]))
    arm = by_generator([0.4, 0.8], spread=0.2)
    own, rest = run_parts(reference, [reference, arm])
    assert own[0] + rest[0] == pytest.approx((0.01 + (0.01 + 0.04) / 2) / 2 / 3)
    assert (own[1], rest[1]) == (2, 4)


def test_paired_arms_differ_at_least_by_their_seeds() -> None:
    first, second = by_generator([0.6, 0.8], spread=0.1), by_generator([0.5, 0.7], spread=0.1)
    assert paired_part(first, second) == (pytest.approx(2 * 0.01 / 3 / 2), 1)


@pytest.mark.parametrize("arms", [1, 3])
def test_two_generators_are_enough_for_an_interval_that_covers(arms: int) -> None:
    """The runs' parts alone: generators that all arms share vary as much as seeds, and patients do not matter."""
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(400):
        shared = rng.normal(0, 0.07, 2)
        study = [runs_of(rng.normal(0, 0.1, 5))]
        for _ in range(arms):
            own = shared + rng.normal(0, 0.07, 2)
            study.append(runs_of(np.repeat(own, 5) + rng.normal(0, 0.1, 10), [0] * 5 + [1] * 5))
        effects = [crossed_difference(arm, study[0], study=study) for arm in study[1:]]
        covered += [effect.low <= 0 <= effect.high for effect in effects]
    assert np.mean(covered) >= 0.93
