"""One network against two stages: the arms that are compared, the answer, and the tables beside the paper's."""

from dataclasses import replace

import pytest
from made_up import CLASSES, make_findings, make_study

from histoforge.evaluation.findings import NetworkRecord
from histoforge.evaluation.unified import two_stages
from histoforge.reports.study_page import build_study_page
from histoforge.reports.text.markdown import study_markdown
from histoforge.reports.text.study_answer import study_answer
from histoforge.reports.text.unified_answer import unified_answer

FACTORS = {
    "baseline": {"backbone": "resnet34"},
    "densenet169": {"backbone": "densenet169"},
    "resnet34_r0_5": {"backbone": "resnet34", "ratio": 0.5},
    "densenet169_r1": {"backbone": "densenet169", "ratio": 1.0},
    **{name: {"network": name} for name in ("vitgan", "medvitgan", "vitgan_cp", "vitgan_sa", "vitgan_log")},
}


def study_of(unified=1.5, seeds=3, names=("baseline", "resnet34_r0_5", "vitgan")):
    skills = {name: unified if name == "vitgan" else 1.5 for name in names}
    return make_study(skills, patients=12, seeds=seeds, patches=20, factors=FACTORS)


def answer_of(study):
    return unified_answer(study, study_answer(study, 240, 12, ["A caveat."]), 240)


def tables(page, section):
    (found,) = (each for each in page.sections if each.id == section)
    return {block.caption.split(":")[0]: block for block in found.blocks if hasattr(block, "columns")}


def record(seed, scale):
    epochs = [1.0, 2.0]
    series = {"source_fake": [scale, scale / 2], "ce_real": [0.7, 0.5], "passed_0": [0.2, 0.4], "passed_1": [0.0, 0.0]}
    return NetworkRecord(seed, {name: (epochs, values) for name, values in series.items()}, 2, [])


@pytest.fixture(scope="module")
def equal():
    return study_of(names=FACTORS)


@pytest.fixture(scope="module")
def page(equal):
    networks = {"vitgan": [record(0, 2.0), record(1, 4.0)], "vitgan_log": [record(0, 8.0)]}
    return build_study_page(replace(make_findings(equal), networks=networks), answer_of(equal))


def test_each_arm_is_compared_with_the_one_from_which_it_differs_in_one_respect(equal):
    references = {arm.name: equal.reference_of(arm) for arm in equal.challengers}
    stages = two_stages(equal.arms).name
    assert references == {
        "densenet169": "baseline",
        "resnet34_r0_5": "baseline",
        "densenet169_r1": "densenet169",
        "vitgan": stages,
        "medvitgan": stages,
        "vitgan_cp": "medvitgan",
        "vitgan_sa": "medvitgan",
        "vitgan_log": "vitgan",
    }
    assert equal.difference("vitgan", "accuracy", "medvitgan") is not None


def test_validation_patches_and_not_test_patches_choose_the_arm_of_the_two_stages(equal):
    def with_validation(arm, accuracy):
        histories = [[{**epoch, "val_accuracy": accuracy} for epoch in run] for run in arm.histories]
        return replace(arm, histories=histories)

    for best in ("resnet34_r0_5", "densenet169_r1"):
        arms = [with_validation(arm, 0.9 if arm.name == best else 0.6) for arm in equal.arms]
        assert two_stages(arms).name == best
    assert two_stages([arm for arm in equal.arms if "ratio" not in arm.factors]) is None


@pytest.mark.parametrize(
    ("unified", "opening"),
    [
        (3.5, "One network is better than two stages: the unified network is "),
        (0.6, "One network is worse than two stages: the unified network is "),
        (1.5, "No difference found between one network and two stages: the unified network is "),
    ],
)
def test_the_first_line_says_which_is_better_by_how_much_and_with_what_interval(unified, opening):
    answer = answer_of(study_of(unified))
    assert answer.headline.startswith(opening)
    assert "percentage points" in answer.headline
    assert "95% interval" in answer.headline
    assert "which has the highest accuracy on the validation split" in answer.lines[0]
    assert "fixed in advance; corrected together with the 1 other comparison of the study" in answer.lines[1]
    assert "as in the tables: p " in answer.lines[1]
    assert (answer.best, answer.caveats) == ("vitgan", ["A caveat."])


def test_the_verdict_agrees_with_its_interval_and_the_other_comparisons_do_not_weaken_it(equal):
    for unified in (1.7, 1.9, 2.2):
        answer = answer_of(study_of(unified, names=("baseline", "densenet169", "resnet34_r0_5", "medvitgan", "vitgan")))
        effect = answer.difference.overall
        assert (answer.verdict == "no_difference") == (effect.low <= 0 <= effect.high)
        assert effect.p_adjusted is None
    assert equal.difference("vitgan", "accuracy").overall.p_adjusted is not None


def test_too_few_patients_or_seeds_are_said_first():
    answer = answer_of(study_of(3.5, seeds=2))
    assert answer.verdict == "too_few"
    assert answer.headline.startswith("Too few test patients (12) or seeds (2) to tell whether one network is better")


def test_a_network_that_learned_nothing_is_said_first():
    answer = answer_of(study_of(0.0))
    assert answer.verdict == "not_learned"
    assert answer.headline.startswith("Unified network is not shown to have learned anything")
    assert any("not shown to have learned anything: unified network" in line for line in answer.lines)


def test_the_best_arm_of_all_is_named():
    assert "Of all 3 arms, unified network has the highest accuracy" in answer_of(study_of(3.5)).lines[2]


def test_table_1_has_the_papers_figures_beside_each_arm_that_the_paper_has(page, equal):
    table = tables(page, "unified")["Table I"]
    cells = {row[0].text: row[1].small for row in table.rows}
    assert "paper: 0.881" in cells["resnet34"]
    assert "paper: 0.928" in cells["densenet169 + 1 N"]
    assert "paper: 0.939" in cells["MedViTGAN"]
    assert "paper: 0.945" in cells["unified network"]
    assert "paper" not in cells["unified network, log weighing"]
    assert "other data" in table.note
    assert table.rows[table.marked][0].text == two_stages(equal.arms).title


def test_table_2_says_what_each_part_adds_to_the_base(page):
    table = tables(page, "ablation")["Table II"]
    parts = {row[0].text: (row[1].text, row[2].text) for row in table.rows}
    assert parts["MedViTGAN"] == ("no", "no")
    assert parts["MedViTGAN + CP"] == ("yes", "no")
    assert parts["MedViTGAN + SA"] == ("no", "yes")
    assert parts["unified network"] == ("yes", "yes")
    base, *others = sorted(table.rows, key=lambda row: row[0].text != "MedViTGAN")
    assert base[-1].text == ""
    assert all(row[-1].small.startswith("[") for row in others)
    assert "paper: 0.916" in base[3].small


def test_figure_3_has_a_line_for_each_seed_of_both_weighings(page):
    (section,) = (each for each in page.sections if each.id == "ablation")
    (figure,) = section.blocks[-1].figures
    assert "1.5 with exp and 4 with log" in figure.alt
    (section,) = (each for each in page.sections if each.id == "networks")
    passed = section.blocks[1]
    assert [cell.text for cell in passed.rows[0]] == ["unified network, seed 0", "30%, at last 40%", "0%, at last 0%"]
    assert passed.columns == ["Network", *CLASSES]


def test_other_studies_have_none_of_it():
    study = make_study({"baseline": 1.0, "gan": 1.2})
    answer = study_answer(study, 480, 12)
    assert unified_answer(study, answer, 480) is answer
    page = build_study_page(make_findings(study), answer)
    assert not any(each.blocks for each in page.sections if each.id in ("unified", "ablation", "networks"))


def test_the_summary_for_kubeflow_begins_with_the_answer(equal):
    answer = answer_of(equal)
    assert study_markdown(make_findings(equal), answer).startswith(f"## {answer.headline}")
