"""Folds and generators of a pipeline, from its compiled file to its report, as a backend runs it."""

import json

import pytest
from backend.launcher import TaskFailed
from tiny_study import SETTINGS

ONE_SEED = {**SETTINGS, "train_classifier.seeds": 1, "train_generator.epochs": 1}


@pytest.fixture(scope="module")
def folded(start):
    return start("selective_augmentation", overrides=ONE_SEED, folds=2, generator_seeds=2)


def arms(run, name):
    return [json.loads((run.launcher.stored(uri) / "arm.json").read_text()) for uri in run.outputs(name)]


def test_each_fold_has_one_baseline_and_its_own_generators(folded):
    assert [arm["fold"] for arm in arms(folded, "baseline")] == [0, 1]
    selective = arms(folded, "selective")
    assert [(arm["fold"], arm["generator_seed"]) for arm in selective] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len({arm["generator"] for arm in selective}) == 4
    assert len(folded.outputs("generator")) == len(folded.outputs("pool")) == 4


def test_the_report_is_of_all_patients_and_generators(folded):
    results = json.loads(folded.stored("metrics").read_text(encoding="utf-8"))
    assert len(results["patients"]) == 8
    assert results["data"]["units"]["test"][""] == 8
    runs = results["arms"]["selective"]["runs"]
    assert [(run["generator_seed"], run["seed"]) for run in runs] == [(0, 0), (1, 0)]
    assert results["arms"]["baseline"]["folds"] == [0, 1]
    assert len(results["arms"]["baseline"]["runs"]) == 1
    difference = next(each for each in results["differences"] if each["arm"] == "gan" and each["score"] == "accuracy")
    assert difference["overall"]["generators"] == 2


def test_every_generator_has_a_row_and_an_audit_against_its_fold(folded):
    results = json.loads(folded.stored("metrics").read_text(encoding="utf-8"))
    rows = results["generators"]
    assert [(row["generator_seed"], row["fold"]) for row in rows] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(row["verdict"] and row["candidates"] >= row["kept"] > 0 for row in rows)
    assert {row["digest"] for row in rows} == {arm["generator"] for arm in arms(folded, "selective")}
    assert "All generators" in folded.stored("report").read_text(encoding="utf-8")


def test_too_many_generators_are_refused_by_the_first_task(start):
    with pytest.raises(TaskFailed) as failed:
        start("selective_augmentation", folds=11, generator_seeds=2)
    assert failed.value.status == 2
    assert "22 generators, and a run takes at most 20" in failed.value.log.strip().splitlines()[-1]


def test_the_study_varies_its_cells_and_fractions_in_every_fold(start):
    ranges = {"ratios": [0.5], "pool_multiples": [2], "fractions": [0.5]}
    study = start("augmentation_study", overrides=ONE_SEED, folds=2, **ranges)
    results = json.loads(study.stored("metrics").read_text(encoding="utf-8"))
    assert {"baseline", "selective_r0_5_pool2n", "baseline_50pct", "selective_50pct"} <= set(results["arms"])
    assert all(arm["folds"] == [0, 1] for arm in results["arms"].values())
    assert len(results["patients"]) == 8
