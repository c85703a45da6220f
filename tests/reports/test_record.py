"""The results of an evaluation as JSON without NaN, as flat finite numbers, and as Markdown."""

import dataclasses
import json
import math

import numpy as np
import pytest
from made_up import make_findings, make_study

from histoforge.evaluation.flat_metrics import flat_metrics
from histoforge.evaluation.learning import CHECKED as LEARNING_SCORES
from histoforge.evaluation.publishable_results import read_results
from histoforge.evaluation.result_records import AnswerRecord, EvaluationResults
from histoforge.evaluation.results_file import evaluation_results
from histoforge.reports.text.caveats import study_caveats
from histoforge.reports.text.markdown import study_markdown
from histoforge.reports.text.study_answer import study_answer


def record_of(findings):
    answer = study_answer(findings.study, 480, 12, study_caveats(findings))
    return evaluation_results(
        findings, AnswerRecord(score=findings.study.score, reference=answer.reference, **vars(answer))
    ).as_json()


@pytest.fixture(scope="module")
def findings():
    return make_findings(make_study({"baseline": 0.5, "gan": 0.7, "selective": 1.5}))


def test_the_record_is_strict_json_with_every_part(findings):
    record = record_of(findings)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["answer"]["verdict"] == "better"
    assert record["answer"]["difference"]["overall"]["low"] > 0
    assert set(record["arms"]) == {"baseline", "gan", "selective"}
    assert record["arms"]["gan"]["scores"]["auc"]["mean"] == findings.study.arm("gan").scores["auc"].mean
    assert len(record["arms"]["gan"]["runs"]) == 5
    assert np.sum(record["arms"]["gan"]["confusion"]) == pytest.approx(480)
    assert len(record["patients"]) == 12
    assert record["selection"]["classes"]["normal"]["kept"] == 30
    assert record["memorisation"]["extractor"] == "net b"
    assert record["constant"] == {"class_name": "normal", "scores": dict.fromkeys(LEARNING_SCORES, 0.5)}
    assert record["arms"]["gan"]["learned"] is True
    assert record["arms"]["gan"]["above_constant"]["balanced_accuracy"]["p_above"] < 0.001


def test_a_written_record_is_read_as_typed_results(findings, tmp_path):
    record = record_of(findings)
    (tmp_path / "metrics.json").write_text(json.dumps(record))
    assert EvaluationResults.model_validate(record).as_json() == record
    results = read_results(tmp_path / "metrics.json")
    assert results.inputs.patches == findings.digests.patches
    assert results.models == {"cd" * 32}
    assert results.extractors == ["net a", "net b"]
    assert results.memorisation.copied is findings.audit.copied


def test_results_of_version_2_are_read(findings, tmp_path):
    record = record_of(findings)
    for name in ("against_all", "constant", "control"):
        record.pop(name)
    record["answer"] = {
        name: value for name, value in record["answer"].items() if name not in ("caveats", "score_reason")
    }
    for arm in record["arms"].values():
        arm.pop("learned"), arm.pop("above_constant")
    record["schema_version"] = 2
    (tmp_path / "metrics.json").write_text(json.dumps(record))
    assert read_results(tmp_path / "metrics.json").cautions == ["A warning."]
    assert EvaluationResults.model_validate(record).constant is None


def test_flat_numbers_are_finite_and_of_the_independent_extractor(findings):
    flat = flat_metrics(findings)
    assert all(type(value) is float and math.isfinite(value) for value in flat.values())
    assert flat["selective_accuracy"] == findings.study.arm("selective").scores["accuracy"].mean
    assert flat["selective_gain"] == pytest.approx(flat["selective_accuracy"] - flat["baseline_accuracy"])
    independent = next(r for r in findings.generative if r.metrics.extractor == "net b" and r.subset == "selected")
    assert flat["fid_selected_training"] == independent.metrics.fid


def test_an_undefined_score_is_left_out_of_the_flat_numbers():
    study = make_study({"baseline": 0.5, "gan": 0.7})
    for arm in study.arms:
        arm.scores["auc"] = type(arm.scores["auc"])(None, None, None, None, [None] * 5)
    flat = flat_metrics(make_findings(study))
    assert "gan_auc" not in flat
    assert "gan_accuracy" in flat
    assert "undefined" in study_markdown(make_findings(study), study_answer(study, 480, 12))


def test_markdown_has_the_answer_and_one_row_per_arm(findings):
    answer = study_answer(findings.study, 480, 12)
    text = study_markdown(findings, answer)
    assert text.startswith(f"## {answer.headline}")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    table, comparisons = rows[: 2 + 3 + 1], rows[2 + 3 + 1 :]
    assert len({row.count("|") for row in table}) == 1
    assert table[-1].startswith("| always 'normal' | 0.500 |")
    assert len(comparisons) == 2 + 3
    assert len({row.count("|") for row in comparisons}) == 1
    assert "| Generators | Seeds | Patients |" in comparisons[0]
    assert "P(better)" in comparisons[0]
    assert "| 1 | 5 | 12 | better |" in comparisons[3]
    assert "- A warning." in text


def test_caveats_follow_the_answer_in_markdown_and_in_the_record(findings):
    careful = dataclasses.replace(findings, caveats=["Mind the gap."])
    answer = study_answer(findings.study, 480, 12, study_caveats(careful))
    text = study_markdown(careful, answer)
    assert text.index(answer.lines[-1]) < text.index("- **Mind the gap.**") < text.index("| Arm")
    assert record_of(careful)["answer"]["caveats"] == ["Mind the gap."]
