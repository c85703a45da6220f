"""The sentence on a difference claims no more than the comparison shows."""

import pytest

from histoforge.metrics.crossed import CrossedEffect
from histoforge.metrics.crossed_mean import CrossedMean
from histoforge.models.gate import check_learning, difference_text

SIZE = {"patients": 10, "generators": 0, "runs": 3, "reference_runs": 5}


@pytest.mark.parametrize(
    ("effect", "sentence"),
    [
        (
            {"difference": 0.021, "low": 0.004, "high": 0.038, "p": 0.02},
            "better by 2.1 points (95% CI 0.4 to 3.8; p = 0.02; 10 patients, 3 and 5 classifiers)",
        ),
        (
            {"difference": -0.02, "low": -0.03, "high": -0.01, "p": 0.01},
            "worse by 2.0 points (95% CI 1.0 to 3.0; p = 0.01; 10 patients, 3 and 5 classifiers)",
        ),
        (
            {"difference": 0.003, "low": -0.008, "high": 0.014, "p": 0.55},
            "no difference found: +0.3 points (95% CI -0.8 to 1.4; p = 0.55; 10 patients, 3 and 5 classifiers)",
        ),
        (
            {"difference": 0.0, "note": "all agree"},
            "no difference found: +0.0 points (all agree; 10 patients, 3 and 5 classifiers)",
        ),
    ],
)
def test_the_text_claims_no_more_than_the_effect_shows(effect, sentence):
    assert difference_text(CrossedEffect(**SIZE, **effect), "patients") == sentence


def test_a_model_must_be_shown_to_have_learned():
    above = CrossedMean(value=0.1, low=0.02, high=0.18, p_above=0.01, patients=10, runs=3)
    assert check_learning(above, "balanced_accuracy", 0.6, 0.5, "patients").accepted
    guessing = check_learning(above.model_copy(update={"p_above": 0.3}), "balanced_accuracy", 0.52, 0.5, "patients")
    assert not guessing.accepted
    assert guessing.reason == (
        "it is not shown to have learned anything (balanced accuracy 0.52, and guessing reaches 0.50; p = 0.3; 10 "
        "patients)"
    )
    untested = check_learning(CrossedMean(value=0.1, patients=10, runs=3, note="no class"), "auc", 0.6, 0.5, "patients")
    assert untested.reason == "whether it learned anything cannot be tested (no class)"
