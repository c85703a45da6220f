"""Which arms of a study the comparisons of an answer take together."""

import numpy as np
import pytest

from histoforge.evaluation.comparisons import Planned, compare
from histoforge.metrics.crossed import crossed_difference
from histoforge.metrics.scored_runs import ScoredRuns


def arm(seed: int, spread: float, generators: list[object] | None = None) -> ScoredRuns:
    rng = np.random.default_rng(seed)
    table = rng.normal(0.7, 0.1, 8) + rng.normal(0, spread, (4, 1)) + rng.normal(0, 0.02, (4, 8))
    left_out = (table.sum(1, keepdims=True) - table) / 7
    return ScoredRuns(table.mean(1), left_out, 8, generators or [None] * 4)


def test_arms_with_the_same_reference_share_the_variance_from_training() -> None:
    pools: list[object] = ["a", "a", "b", "b"]
    scored = {
        "baseline": arm(0, 0.02),
        "gan": arm(1, 0.05, pools),
        "selective": arm(2, 0.1, pools),
        "small": arm(3, 0.3),
        "small_gan": arm(4, 0.3, pools),
    }
    plan = [Planned("gan", "baseline"), Planned("selective", "baseline"), Planned("small_gan", "small")]
    compared = compare(scored, plan, "accuracy")
    alike = [scored[name] for name in ("baseline", "gan", "selective")]
    expected = crossed_difference(scored["gan"], scored["baseline"], study=alike)
    assert compared[0].effect.std_error == pytest.approx(expected.std_error)
    alone = crossed_difference(scored["small_gan"], scored["small"], study=[scored["small"], scored["small_gan"]])
    assert compared[2].effect.std_error == pytest.approx(alone.std_error)
    assert compared[0].effect.std_error != pytest.approx(
        crossed_difference(scored["gan"], scored["baseline"]).std_error
    )
