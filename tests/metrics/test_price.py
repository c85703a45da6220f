"""The price of synthetic patches against identities and known truths."""

import numpy as np
import pytest

from histoforge.metrics.crossed import ONE_RUN, crossed_difference, crossed_parts
from histoforge.metrics.price import price
from histoforge.metrics.scored_runs import ScoredRuns


def runs_of(table: np.ndarray, generators: list[object] | None = None) -> ScoredRuns:
    """Scores that are means over patients of `table`, [R, P]."""
    count = table.shape[1]
    left_out = (table.sum(1, keepdims=True) - table) / (count - 1)
    return ScoredRuns(table.mean(1), left_out, count, generators or [None] * len(table))


def simulate(
    rng: np.random.Generator,
    mean: float,
    patients: np.ndarray,
    seeds: int = 5,
    generators: int = 1,
    noise: float = 0.02,
) -> ScoredRuns:
    """Runs of an arm on patients that all arms share, with noise of generators, seeds, and runs on patients."""
    origin = np.repeat(rng.normal(0, noise if generators > 1 else 0, generators), seeds)[:, None]
    own = rng.normal(0, noise, (len(origin), 1)) + rng.normal(0, 2 * noise, (len(origin), len(patients)))
    # patients differ in how much an arm changes their score
    return runs_of(
        mean + patients + rng.normal(0, noise, len(patients)) + origin + own,
        np.repeat(np.arange(generators), seeds).tolist() if generators > 1 else None,
    )


def exact(mean: float) -> ScoredRuns:
    """Runs of a mean with so little noise that only the curve's shape counts."""
    rng = np.random.default_rng(int(mean * 1e6))
    return runs_of(mean + rng.normal(0, 1e-7, (3, 6)))


def test_a_contrast_of_two_arms_is_their_difference() -> None:
    rng = np.random.default_rng(0)
    patients = rng.normal(0, 0.1, 12)
    arm, reference = simulate(rng, 0.8, patients, 3, 4), simulate(rng, 0.75, patients)
    parts, effect = crossed_parts([arm, reference]), crossed_difference(arm, reference)
    weights = np.array([1.0, -1.0])
    variance = weights**2 @ parts.run_variances + max(0.0, weights @ parts.patients @ weights)
    assert weights @ parts.means == pytest.approx(effect.difference)
    assert variance**0.5 == pytest.approx(effect.std_error)


@pytest.mark.parametrize(("score", "worth"), [(0.72, 40), (0.75, 100), (0.76, 150), (0.77, 200)])
def test_the_price_is_read_from_the_curve(score: float, worth: float) -> None:
    controls = {100: exact(0.75), 200: exact(0.77)}
    found = price(exact(score), exact(0.7), controls)
    assert found.worth == pytest.approx(worth, abs=0.1)
    assert found.low == pytest.approx(worth, abs=0.6)
    assert found.high == pytest.approx(worth, abs=0.6)
    assert (found.doses, found.largest) == ([100, 200], 200)


def test_a_price_outside_the_curve_is_bounded_and_says_so() -> None:
    controls = {100: exact(0.75), 200: exact(0.77)}
    above, below = price(exact(0.8), exact(0.7), controls), price(exact(0.68), exact(0.7), controls)
    assert (above.worth, above.exceeded, above.open_ended) == (200, True, True)
    assert (below.worth, below.low, below.high, below.exceeded, below.open_ended) == (0, 0, 0, False, False)


def test_a_flat_curve_gives_the_whole_range() -> None:
    rng = np.random.default_rng(1)
    patients = rng.normal(0, 0.1, 10)
    arms = [simulate(rng, 0.8, patients) for _ in range(4)]
    found = price(arms[0], arms[1], {50: arms[2], 100: arms[3]})
    assert (found.low, found.high, found.open_ended) == (0, 100, True)


def test_one_run_has_no_price() -> None:
    one = runs_of(np.linspace(0.5, 0.7, 6)[None])
    assert price(one, exact(0.7), {10: exact(0.8)}).note == ONE_RUN


@pytest.mark.parametrize("patients", [6, 16])
@pytest.mark.parametrize(("truth", "generators"), [(0, 1), (60, 2), (140, 3)])
def test_intervals_cover_a_known_price(patients: int, truth: int, generators: int) -> None:
    """A curve of 0.70, 0.76 and 0.79 at 0, 100 and 200 patches; the arm has one generator or several."""
    rng = np.random.default_rng([patients, truth])
    mean, covered, studies = float(np.interp(truth, [0, 100, 200], [0.7, 0.76, 0.79])), 0, 200
    estimates = []
    for _ in range(studies):
        shared = rng.normal(0, 0.1, patients)
        reference, half, full = (simulate(rng, score, shared) for score in (0.7, 0.76, 0.79))
        found = price(simulate(rng, mean, shared, 3, generators), reference, {100: half, 200: full})
        covered += found.low <= truth <= found.high
        estimates.append(found.worth)
    assert covered / studies >= 0.93
    assert np.median(np.array(estimates, float)) == pytest.approx(truth, abs=25)
