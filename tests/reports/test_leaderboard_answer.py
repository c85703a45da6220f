"""The first lines of a leaderboard claim what the numbers show, and no more."""

import dataclasses

import pytest
from made_up_scores import make_entry, make_leaderboard

from histoforge.evaluation.leaderboard_findings import Spread
from histoforge.metrics.compare import sample_std
from histoforge.metrics.table import METRICS
from histoforge.reports.text.leaderboard_answer import leaderboard_answer, overlap, paired_text


@pytest.fixture(scope="module")
def findings():
    return make_leaderboard()


def test_the_headline_names_the_best_method_with_its_deviation(findings):
    best = findings.entries[0]
    fid = best.spread(METRICS["fid"])
    assert best.name == "rleo:policy"
    assert fid.std == pytest.approx(sample_std([scores.judge_metrics.fid for scores in best.scores]))
    headline = leaderboard_answer(findings).headline
    assert headline.startswith(f"rleo:policy has the lowest FID ({fid.mean:.2f}\u00a0±\u00a0{fid.std:.2f})")
    assert METRICS["accuracy_synthetic"].phrase in headline


def test_few_seeds_and_overlaps_are_reported(findings):
    few_seeds = leaderboard_answer(make_leaderboard({"dcgan": 1.0, "lsgan": 1.1}, seeds=2))
    assert few_seeds.verdict == "too_few"
    assert any("So few seeds cannot distinguish methods" in line for line in few_seeds.lines)
    lines = leaderboard_answer(findings).lines
    assert any("FID" in line and "within their deviations of each other" in line for line in lines)
    assert any("methods are not tested against each other" in line for line in lines)


def test_generators_whose_patches_are_told_from_real_ones_are_named(findings):
    assert leaderboard_answer(findings).caveats == []
    caveats = leaderboard_answer(make_leaderboard({"dcgan": 1.0, "lsgan": 3.6})).caveats
    assert caveats == ["A small classifier tells patches from real ones almost perfectly: lsgan."]


def test_means_overlap_within_the_sum_of_their_deviations():
    assert overlap(Spread(1.0, 0.3, {}), Spread(1.5, 0.3, {}))
    assert not overlap(Spread(1.0, 0.1, {}), Spread(1.5, 0.1, {}))
    assert overlap(Spread(1.0, None, {}), Spread(9.0, None, {}))


def test_a_tie_has_no_winner():
    findings = make_leaderboard({"dcgan": 1.0, "lsgan": 1.1})
    label_f1 = METRICS["label_f1"]
    assert findings.best(label_f1).name == "dcgan"
    tied = dataclasses.replace(label_f1, format=",.0f")
    assert findings.best(tied) is None
    assert findings.best(METRICS["ppl"]) is None


def test_a_single_method_has_no_comparison():
    answer = leaderboard_answer(make_leaderboard({"dcgan": 1.0}))
    assert answer.headline.startswith("Only one method, dcgan: FID ")
    assert answer.verdict == "no_comparison"


def test_rewards_are_paired_by_seed_with_the_control(findings):
    entries = {entry.name: entry for entry in findings.entries}
    literal, policy = entries["rleo:literal"], entries["rleo:policy"]
    pair = next(pair for pair in findings.paired("rleo", "fid") if pair.variant == "policy")
    expected = {
        seed: policy.scores[seed].judge_metrics.fid - literal.scores[seed].judge_metrics.fid for seed in range(3)
    }
    assert pair.differences.values == pytest.approx(expected)
    assert pair.differences.std == pytest.approx(sample_std(list(expected.values())))
    assert {pair.variant for pair in findings.paired("rleo", "fid")} == {"policy", "soft_target"}
    lines = leaderboard_answer(findings).lines
    assert "rleo:literal and improved_dcgan have bitwise identical weights at seeds 0, 1 and 2." in lines
    line = next(line for line in lines if line.startswith("Effect of the guide's reward"))
    assert "cannot change a gradient" in line
    assert paired_text(pair) in line


def test_rewards_are_compared_in_the_features_of_other_extractors(findings):
    [(extractor, pairs)] = findings.paired_by_extractor("rleo").items()
    assert extractor.startswith("resnet18 (baseline, seed 0)")
    assert [pair.differences for pair in pairs] == [pair.differences for pair in findings.paired("rleo", "fid")]
    line = other_extractors_line(findings)
    assert extractor in line
    assert "no effect is shown" not in line

    entries = [
        dataclasses.replace(entry, scores=[contradicted(scores) for scores in entry.scores])
        if entry.variant == "policy"
        else entry
        for entry in findings.entries
    ]
    line = other_extractors_line(dataclasses.replace(findings, entries=entries))
    assert "The sign of policy depends on the extractor or the seed, so no effect is shown." in line


def other_extractors_line(findings) -> str:
    lines = leaderboard_answer(findings).lines
    return next(line for line in lines if line.startswith("The same difference in the features of other extractors"))


def contradicted(scores):
    """Return the scores with a high FID by the extractor that is not the judge."""
    other = next(row for row in scores.generative if row.extractor != scores.judge)
    return scores.model_copy(update={"generative": [other.model_copy(update={"fid": 1e6}), scores.judge_metrics]})


def test_rewards_are_compared_at_the_seeds_that_both_have():
    findings = make_leaderboard({"rleo:literal": 0.7, "rleo:policy": 0.6})
    entries = [
        dataclasses.replace(entry, scores=entry.scores[1:] if entry.variant == "literal" else entry.scores[:2])
        for entry in findings.entries
    ]
    pair = dataclasses.replace(findings, entries=entries).paired("rleo", "fid")[0]
    assert list(pair.differences.values) == [1]
    assert "one seed is not enough to show an effect" in paired_text(pair)


def test_without_the_control_the_effect_of_the_reward_is_unknown():
    findings = make_leaderboard({"rleo:policy": 0.6, "dcgan": 1.0})
    assert findings.paired("rleo", "fid") == []
    lines = leaderboard_answer(findings).lines
    assert any("'literal'" in line and "cannot be measured" in line for line in lines)


def test_the_control_alone_shows_no_effect():
    lines = leaderboard_answer(make_leaderboard({"rleo:literal": 0.6, "dcgan": 1.0})).lines
    assert any(line.startswith("The only variant of rleo compared here is 'literal'") for line in lines)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({0: 1.0, 1: -1.0}, "+0 on average, +1 at seed 0, -1 at seed 1 (the signs differ)"),
        (
            {0: -0.001, 1: -0.002},
            "-0.0015 on average, -0.001 at seed 0, -0.002 at seed 1 (the same sign at all 2 seeds)",
        ),
        ({0: 0.0, 1: 0.0}, "+0 on average, +0 at seed 0, +0 at seed 1 (no difference at any seed)"),
        ({}, "has no seed in common with the control"),
    ],
)
def test_paired_differences_report_their_signs(values, text):
    pair = make_leaderboard({"rleo:literal": 0.7, "rleo:policy": 0.6}).paired("rleo", "fid")[0]
    assert paired_text(dataclasses.replace(pair, differences=Spread.of(values))) == text


def test_collapsed_classes_are_named():
    entries = [make_entry("dcgan", 1.0, spread=0.01), make_entry("ddpm", 0.2)]
    findings = dataclasses.replace(make_leaderboard({"dcgan": 1.0}), entries=entries)
    signs = "Signs of mode collapse (little spread, or few distinct neighbours): dcgan (benign, invasive)."
    assert signs in leaderboard_answer(findings).lines
