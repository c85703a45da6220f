"""The analysis of crossed factors against identities and simulated truths."""

import numpy as np
import pytest
from scipy import stats

from histoforge.metrics.classification import statistic
from histoforge.metrics.crossed import (
    ALONE_IN_A_CLASS,
    ONE_RUN,
    crossed_difference,
    fixed_difference,
)
from histoforge.metrics.crossed_mean import crossed_mean, excess, has_learned
from histoforge.metrics.scored_runs import Jackknife, ScoredRuns


def runs_of(table: np.ndarray, generators: list[object] | None = None) -> ScoredRuns:
    """Scores that are means over patients of `table`, [R, P]."""
    count = table.shape[1]
    left_out = (table.sum(1, keepdims=True) - table) / (count - 1)
    return ScoredRuns(table.mean(1), left_out, count, generators or [None] * len(table))


def simulate(rng: np.random.Generator, runs: int, patients: int, shared: np.ndarray, sd_run: float) -> np.ndarray:
    noise = rng.normal(0, 0.3, (runs, patients)) + rng.normal(0, 0.2, patients)
    return shared + rng.normal(0, sd_run, (runs, 1)) + noise


def test_runs_alike_give_the_paired_t_test_over_patients() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.6, 0.1, (2, 9))
    effect = crossed_difference(runs_of(np.tile(first, (3, 1))), runs_of(np.tile(second, (3, 1))))
    expected = stats.ttest_rel(first, second)
    assert effect.p == pytest.approx(expected.pvalue)
    assert (effect.low, effect.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert effect.df == pytest.approx(8)
    assert effect.share_of_patients == pytest.approx(1)


def test_patients_alike_give_welchs_test_over_runs() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.6, 0.1, 5), rng.normal(0.5, 0.02, 4)
    patients = np.linspace(-0.2, 0.2, 7)
    effect = crossed_difference(runs_of(first[:, None] + patients), runs_of(second[:, None] + patients))
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert effect.p == pytest.approx(expected.pvalue)
    assert (effect.low, effect.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert effect.share_of_patients == pytest.approx(0, abs=1e-9)


def test_single_classifiers_are_compared_as_they_are_over_patients() -> None:
    rng = np.random.default_rng(9)
    first, second = rng.normal(0.6, 0.1, (2, 9))
    effect = fixed_difference(runs_of(first[None]), runs_of(second[None]))
    expected = stats.ttest_rel(first, second)
    assert effect.p == pytest.approx(expected.pvalue)
    assert (effect.low, effect.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert fixed_difference(runs_of(first[None, :4]), runs_of(second[None, :4])).low is None


def test_the_mean_of_an_arm_has_the_interval_of_its_difference_from_a_constant() -> None:
    rng = np.random.default_rng(10)
    arm = runs_of(simulate(rng, 5, 12, np.full(12, 0.9), 0.05))
    constant = ScoredRuns(np.array([0.5]), np.full((1, 12), 0.5), 12, [None])
    above = crossed_mean(excess(arm, constant))
    mean = crossed_mean(arm)
    assert above.value == pytest.approx(mean.value - 0.5)
    assert (above.low, above.high) == pytest.approx((mean.low - 0.5, mean.high - 0.5))
    assert has_learned(above)
    assert not has_learned(crossed_mean(excess(constant, arm)))


def test_guessing_classifiers_pass_as_learned_as_rarely_as_the_level_says() -> None:
    rng = np.random.default_rng(11)
    passed = 0
    for _ in range(600):
        table = rng.normal(0, 0.1, 10) + rng.normal(0, 0.05, (4, 1)) + rng.normal(0, 0.1, (4, 10))
        passed += bool(has_learned(crossed_mean(runs_of(table))))
    assert 0.015 <= passed / 600 <= 0.08


def test_a_mean_over_patients_and_runs_covers_the_truth() -> None:
    rng = np.random.default_rng(12)
    covered = 0
    for _ in range(600):
        mean = crossed_mean(runs_of(simulate(rng, 5, 6, 0.7 + rng.normal(0, 0.2, 6), 0.1)))
        covered += mean.low <= 0.7 <= mean.high
    assert covered / 600 >= 0.92


def test_seeds_of_one_generator_are_no_replicates_of_generators() -> None:
    rng = np.random.default_rng(2)
    reference = runs_of(simulate(rng, 4, 40, np.full(40, 0.5), 0.01))
    by_generator = np.repeat(rng.normal(0, 0.1, 3), 4)[:, None]
    table = simulate(rng, 12, 40, np.full(40, 0.6), 0.01) + by_generator
    several = crossed_difference(runs_of(table, list("aaaabbbbcccc")), reference)
    ignored = crossed_difference(runs_of(table), reference)
    assert several.difference == ignored.difference
    assert several.std_error > 1.5 * ignored.std_error
    assert (several.generators, several.runs) == (3, 12)


def test_arms_of_the_same_generators_are_paired_by_them() -> None:
    rng = np.random.default_rng(3)
    of_generators = np.repeat(rng.normal(0, 0.2, 3), 2)[:, None]
    arms = [simulate(rng, 6, 30, np.full(30, mean), 0.01) + of_generators for mean in (0.6, 0.5)]
    paired = crossed_difference(*(runs_of(arm, list("aabbcc")) for arm in arms))
    apart = crossed_difference(runs_of(arms[0], list("aabbcc")), runs_of(arms[1], list("ddeeff")))
    assert paired.std_error < apart.std_error / 2


@pytest.mark.parametrize("patients", [5, 10, 20])
def test_intervals_cover_and_nothing_is_found_where_nothing_is(patients: int) -> None:
    rng = np.random.default_rng(4)
    found = covered = 0
    for _ in range(1000):
        shared = rng.normal(0.7, 0.2, patients)
        generators = np.repeat(rng.normal(0, 0.1, 3), 3)[:, None]
        arm = runs_of(simulate(rng, 9, patients, shared, 0.1) + generators, [0, 0, 0, 1, 1, 1, 2, 2, 2])
        effect = crossed_difference(arm, runs_of(simulate(rng, 5, patients, shared, 0.1)))
        found += effect.p < 0.05
        covered += effect.low <= 0 <= effect.high
    assert covered / 1000 >= 0.93
    assert found / 1000 <= 0.07


def test_the_detectable_difference_is_found_with_its_power() -> None:
    rng = np.random.default_rng(5)

    def study(gain: float) -> tuple[float, float]:
        shared = rng.normal(0.7, 0.2, 12)
        arm = runs_of(simulate(rng, 6, 12, shared + gain, 0.05))
        effect = crossed_difference(arm, runs_of(simulate(rng, 6, 12, shared, 0.05)))
        return effect.p, effect.detectable

    detectable = float(np.mean([study(0)[1] for _ in range(300)]))
    power = float(np.mean([study(detectable)[0] < 0.05 for _ in range(600)]))
    assert 0.72 < power < 0.9


def test_scores_without_each_patient_are_those_of_the_other_patches() -> None:
    rng = np.random.default_rng(6)
    patients, labels = np.repeat(list("pqrs"), 6), np.tile([0, 1], 12)
    probabilities = rng.dirichlet([1, 1], 24)
    scored = Jackknife(patients).score([statistic("balanced_accuracy", probabilities, labels)])
    rest = patients != "q"
    alone = statistic("balanced_accuracy", probabilities[rest], labels[rest])(np.ones((1, rest.sum())))[0]
    assert scored.left_out[0, 1] == pytest.approx(alone)
    assert scored.scores[0] == pytest.approx(
        np.mean([(probabilities[labels == c].argmax(1) == c).mean() for c in (0, 1)])
    )


def test_what_cannot_be_estimated_has_a_reason() -> None:
    rng = np.random.default_rng(7)
    table = rng.normal(0.6, 0.1, (3, 5))
    assert crossed_difference(runs_of(table[:1]), runs_of(table)).note == ONE_RUN
    one = ScoredRuns(table[:, 0], np.full((3, 1), np.nan), 1, [None] * 3)
    assert crossed_difference(one, one).note == "1 patient is too few for an interval"
    gap = runs_of(table)
    gap.left_out[1, 2] = np.nan
    effect = crossed_difference(gap, runs_of(table))
    assert (effect.note, effect.low, effect.p) == (ALONE_IN_A_CLASS, None, None)
    assert effect.difference == 0


@pytest.mark.parametrize("patients", [2, 3, 4])
def test_few_patients_give_no_interval_but_the_reason(patients: int) -> None:
    rng = np.random.default_rng(7)
    effect = crossed_difference(*(runs_of(rng.normal(0.6, 0.1, (3, patients))) for _ in range(2)))
    assert (effect.low, effect.high, effect.p, effect.better, effect.detectable) == (None,) * 5
    assert effect.note == f"{patients} patients are too few for an interval"


def test_many_patients_are_left_out_in_groups() -> None:
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 2, 900)
    first, second = (rng.dirichlet([1, 1], 900) for _ in range(2))
    jackknife = Jackknife(np.arange(900))
    arm, reference = (jackknife.score([statistic("accuracy", p, labels)] * 2) for p in (first, second))
    effect = crossed_difference(arm, reference)
    differences = (first.argmax(1) == labels).astype(float) - (second.argmax(1) == labels)
    assert (arm.left_out.shape, effect.patients) == ((2, 200), 900)
    assert effect.difference == pytest.approx(differences.mean())
    assert effect.std_error == pytest.approx(differences.std() / 30, rel=0.1)
