"""What the positive control says: that the experiment was blind, or that it can see, and the price."""

import pytest
from made_up import make_findings, make_study

from histoforge.evaluation.result_records import AnswerRecord
from histoforge.evaluation.results_file import evaluation_results
from histoforge.metrics.price import Price
from histoforge.reports.layout.page import render
from histoforge.reports.sections.control import control_section
from histoforge.reports.study_page import build_study_page
from histoforge.reports.text.control import NO_CONTROL, control_verdict, price_text, with_control
from histoforge.reports.text.study_answer import study_answer


def answered(skills, **size):
    study = make_study(skills, **size)
    return study, with_control(study_answer(study, 480, 12), study)


def test_a_control_that_does_not_help_either_says_that_the_experiment_was_blind():
    study, answer = answered({"baseline": 1.0, "selective": 1.0, "control_15": 1.0})
    assert answer.verdict == "no_difference"
    assert control_verdict(study) == "no_difference"
    assert answer.caveats[0].startswith(
        "This experiment could not have shown a benefit: 30 held-back real patches in place of the synthetic ones "
        "(positive control) do not help either, "
    )
    assert "With a power of 80%, it finds a difference of" in answer.caveats[0]
    assert not [line for line in answer.lines if "Price" in line or "positive control" in line]


def test_a_control_that_helps_says_that_the_experiment_can_see_and_gives_the_price():
    study, answer = answered({"baseline": 1.0, "selective": 1.0, "control_7": 1.5, "control_15": 2.0})
    assert answer.verdict == "no_difference"
    assert answer.caveats == []
    fires, price = answer.lines[-2:]
    assert "can find a benefit: 30 held-back real patches in place of 30 synthetic ones are" in fires
    assert price.startswith("Price: the 30 synthetic patches of selective were worth ")
    assert study.control.added == {"control_7": 14, "control_15": 30}
    found = study.control.prices["selective"]
    assert found.worth < 10
    assert (found.low, found.largest) == (0, 30)


def test_the_control_is_never_the_best_arm_and_does_not_change_the_correction():
    skills = {"baseline": 1.0, "traditional": 1.05, "selective": 1.1}
    without, _ = answered(skills)
    study, answer = answered({**skills, "control_15": 3.0})
    assert answer.best == "selective"
    assert [arm.name for arm in study.challengers] == ["traditional", "selective"]
    for name in ("traditional", "selective"):
        first, second = (each.difference(name, "accuracy").overall for each in (without, study))
        assert first == second
    assert study.difference("control_15", "accuracy").overall.p_adjusted is None
    assert [arm.name for arm in study.arms][-1] == "control_15"


def test_an_arm_that_is_better_needs_no_control():
    _, answer = answered({"baseline": 0.5, "selective": 2.0, "control_15": 0.5})
    assert (answer.verdict, answer.caveats) == ("better", [])


def test_without_a_control_the_report_says_what_stays_open():
    assert answered({"baseline": 1.0, "selective": 1.0})[1].caveats == [NO_CONTROL]
    assert answered({"baseline": 0.5, "selective": 2.0})[1].caveats == []
    assert answered({"baseline": 1.0, "traditional": 1.0})[1].caveats == []


def test_with_too_few_patients_the_headline_says_enough():
    _, answer = answered({"baseline": 1.0, "selective": 1.0, "control_15": 1.0}, patients=4)
    assert (answer.verdict, answer.caveats) == ("too_few", [])


@pytest.mark.parametrize(
    ("price", "text"),
    [
        ({"worth": 120.4, "low": 40, "high": 210}, "120 (95% interval 40 to 210)"),
        ({"worth": 120, "low": 40, "high": 240, "open_ended": True}, "120 (95% interval 40 to more than 240)"),
        (
            {"worth": 240, "low": 130, "high": 240, "open_ended": True, "exceeded": True},
            "more than 240 (95% interval 130 to more than 240)",
        ),
        (
            {"worth": 240, "low": 240, "high": 240, "open_ended": True, "exceeded": True},
            "more than 240 (95% interval more than 240)",
        ),
        ({"worth": 0, "low": 0, "high": 0}, "0 (95% interval 0 to 0)"),
        ({"worth": None, "note": "too few"}, "no price: too few"),
    ],
)
def test_the_price_in_words(price, text):
    assert price_text(Price(largest=240, doses=[120, 240], **price)) == text


def test_page_and_results_have_the_control():
    study, answer = answered({"baseline": 1.0, "selective": 1.0, "control_7": 1.5, "control_15": 2.0})
    findings = make_findings(study)
    page = render(build_study_page(findings, answer))
    assert "Positive control and price" in page
    assert "+ 30 held-back real" in page
    assert "What the synthetic patches were worth" in page
    results = evaluation_results(
        findings, AnswerRecord(score="accuracy", reference=answer.reference, **vars(answer))
    ).as_json()
    assert results["control"]["added"] == {"control_7": 14, "control_15": 30}
    assert results["control"]["prices"]["selective"]["doses"] == [14, 30]
    assert {row["arm"] for row in results["control"]["differences"]} == {"control_7", "control_15"}


def test_the_section_says_that_fractions_have_no_control():
    skills = {"baseline": 1.0, "selective": 1.0, "control_15": 2.0}
    notes = [control_section(make_study(skills | more)).blocks[0].note for more in ({"baseline_50pct": 1.0}, {})]
    assert ["No control was trained on fractions" in note for note in notes] == [True, False]


def test_the_section_gives_no_price_where_the_control_does_not_help():
    blind = control_section(make_study({"baseline": 1.0, "selective": 1.0, "control_15": 1.0}))
    assert [block.caption for block in blind.blocks if hasattr(block, "caption")] == [
        "Held-back real patches in place of the synthetic ones"
    ]
    assert control_section(make_study({"baseline": 1.0, "selective": 1.0})).blocks == []
