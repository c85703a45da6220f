"""`evaluate` of arms that were trained on several folds, and with several generators."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_evaluate import CLASSES, CLASSIFIER, FAST, SIZE, draw, hash_free

from histoforge.classifiers.arms import load_arm, read_arm
from histoforge.core.documents import read_json
from histoforge.core.errors import ModelError, SettingsError
from histoforge.evaluation.arm_inputs import open_parts
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import to_unit
from histoforge.steps import publish_model, select_samples, train_classifier
from histoforge.steps.evaluate import run
from histoforge.steps.evaluate_config import EvaluateConfig
from histoforge.steps.publish_model_config import PublishModelConfig
from histoforge.steps.select_samples_config import SelectSamplesConfig
from histoforge.steps.train_classifier_config import TrainClassifierConfig

PATIENTS = 8


def write_folds(path: Path) -> None:
    """Eight patients, of whom each fold tests four."""
    with PatchSetWriter.create(path, CLASSES, (SIZE, SIZE), mpp=0.5) as writer:
        for patient in range(PATIENTS):
            name, half = f"p{patient}", patient // 4
            other = "val" if patient % 4 < 2 else "train"
            splits = {f"fold_{fold}": "test" if fold == half else other for fold in (0, 1)}
            labels = np.full(6, patient % 2)
            pixels = draw(labels, hash_free(name))
            writer.add(pixels, label=labels, patient=name, slide=name, split=splits["fold_0"], **splits)
        writer.finish({"step": "preprocess"})


def write_pool(path: Path, fold: int, generator_seed: int, real: PatchSet) -> None:
    """The selected patches of a generator that has seen a fold."""
    labels = np.arange(12) % 2
    pixels = draw(labels, 100 + 10 * fold + generator_seed)
    with PatchSetWriter.create(path, CLASSES, (SIZE, SIZE), mpp=0.5, synthetic=True) as writer:
        scores = {name: np.arange(12) / 12 for name in ("entropy", "distance", "confidence")}
        writer.add(
            pixels,
            label=labels,
            method="histogan",
            generator=f"{fold}{generator_seed}" * 32,
            seed=0,
            kept=True,
            **scores,
        )
        writer.finish(
            {
                "step": "select_samples",
                "config": {"rule": "entropy_centroid", "fold": fold},
                "scoring": {"patches": real.digest},
                "generator": f"{fold}{generator_seed}" * 32,
                "generator_seed": generator_seed,
            }
        )


def train(folder: Path, arm: str, fold: int, generator_seed: int | None = None, seeds: int = 2) -> Path:
    config = TrainClassifierConfig.make({**CLASSIFIER, "epochs": 1, "arm": arm, "seeds": seeds, "fold": fold})
    name = f"{fold}-{generator_seed}"
    synthetic = None if generator_seed is None else folder / f"pool-{name}"
    train_classifier.run(config, patches=folder / "patches", synthetic=synthetic, model=folder / f"{arm}-{name}")
    return folder / f"{arm}-{name}"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    write_folds(folder / "patches")
    real = PatchSet.open(folder / "patches")
    for fold in (0, 1):
        train(folder, "baseline", fold)
        for generator_seed in (3, 4):
            write_pool(folder / f"pool-{fold}-{generator_seed}", fold, generator_seed, real)
            train(folder, "gan", fold, generator_seed)
    return folder


def arms_of(given: Path) -> list[Path]:
    return sorted(path for path in given.iterdir() if path.name.startswith(("baseline", "gan")))


def evaluate(given: Path, out: Path, arms: list[Path], **more: Any) -> dict[str, Any]:
    run(
        EvaluateConfig.make(FAST),
        patches=given / "patches",
        arms=arms,
        report=out / "report.html",
        metrics=out / "metrics.json",
        **more,
    )
    return dict(read_json(out / "metrics.json"))


@pytest.fixture(scope="module")
def results(given: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    out = tmp_path_factory.mktemp("report")
    pools = [given / f"pool-{fold}-{seed}" for seed in (4, 3) for fold in (1, 0)]
    content = evaluate(given, out, arms_of(given), pool=pools)
    return content, (out / "report.html").read_text(encoding="utf-8")


def test_a_run_is_a_generator_and_a_seed_and_tests_every_patient_once(results: Any, given: Path) -> None:
    content, _ = results
    assert [(run["generator_seed"], run["seed"]) for run in content["arms"]["gan"]["runs"]] == [
        (3, 0),
        (3, 1),
        (4, 0),
        (4, 1),
    ]
    assert [run["generator_seed"] for run in content["arms"]["baseline"]["runs"]] == [None, None]
    assert len(content["patients"]) == content["data"]["units"]["test"][""] == PATIENTS
    whole = PatchSet.open(given / "patches")
    correct = 0
    for fold in (0, 1):
        test = whole.in_fold(fold).split("test")
        classifier = load_arm(given / f"gan-{fold}-4")[1]
        pixels = to_unit(torch.from_numpy(test.images()).permute(0, 3, 1, 2))
        correct += int((classifier(pixels).argmax(1).numpy() == test.labels).sum())
    assert content["arms"]["gan"]["runs"][3]["accuracy"] == pytest.approx(correct / len(whole))


def test_generators_are_the_replicates_of_an_arm_with_synthetic_patches(results: Any) -> None:
    content, _ = results
    overall = next(each for each in content["differences"] if each["score"] == "accuracy")["overall"]
    assert (overall["generators"], overall["runs"], overall["reference_runs"]) == (2, 4, 2)


def test_what_each_generator_draws_is_measured_against_its_own_fold(results: Any) -> None:
    content, page = results
    rows = {(row["generator_seed"], row["fold"]): row["realism"] for row in content["generators"]}
    assert set(rows) == {(3, 0), (3, 1), (4, 0), (4, 1)}
    assert rows[3, 0] == content["realism"]
    probabilities = [[each["probability"] for each in realism["classes"]] for realism in rows.values()]
    assert len(set(map(tuple, probabilities))) == 4
    of_real = {fold: [each["real_probability"] for each in rows[3, fold]["classes"]] for fold in (0, 1)}
    assert of_real[0] != of_real[1]
    assert "Told from real" in page


def test_of_several_folds_the_first_is_published_and_says_so(given: Path, tmp_path: Path, capsys: Any) -> None:
    config = PublishModelConfig.make({"models": str(tmp_path / "models"), "device": "cpu", "precision": "float32"})
    parts = [given / "baseline-1-None", given / "baseline-0-None"]
    done = publish_model.run(config, patches=given / "patches", challenger=parts, publication=tmp_path / "publication")
    assert done.said == (
        "published nothing as classifier because only 4 patients are in fold 0, which alone judges its classifiers, "
        "and 5 are needed."
    )
    one_of_many = "It is one of 2 trainings of the arm 'baseline', that of fold 0"
    assert one_of_many in capsys.readouterr().err
    assert one_of_many in (tmp_path / "publication" / "README.md").read_text()


def test_the_training_of_each_classifier_is_listed(results: Any) -> None:
    training = results[0]["arms"]["gan"]["training"]
    assert training["folds"] == [0, 1] * 4
    assert training["generator_seeds"] == [3] * 4 + [4] * 4
    assert len(set(training["models"])) == len(training["best_epochs"]) == 8


def test_an_arm_records_its_fold_and_generator(given: Path) -> None:
    arm = read_arm(given / "gan-1-4")
    assert (arm["fold"], arm["generator_seed"], arm["generator"]) == (1, 4, "14" * 32)
    assert "generator" not in read_arm(given / "baseline-0-None")


def test_a_repeat_is_refused(given: Path) -> None:
    with pytest.raises(SettingsError, match=r"'gan' with the same fold and generator \(fold 0 and generator seed 3\)"):
        open_parts([given / "gan-0-3", given / "gan-0-3"])


def test_an_arm_without_one_of_its_folds_is_refused(given: Path) -> None:
    with pytest.raises(SettingsError, match="'gan' lacks fold 1 and generator seed 4"):
        open_parts([path for path in arms_of(given) if path.name != "gan-1-4"])


def test_arms_of_other_folds_are_refused(given: Path) -> None:
    with pytest.raises(SettingsError, match=r"'gan' was trained on 1 fold \(1\), and 'baseline' on 2 folds \(0, 1\)"):
        open_parts([given / "baseline-0-None", given / "baseline-1-None", given / "gan-1-3"])


def test_one_fold_alone_can_be_evaluated(given: Path, tmp_path: Path) -> None:
    content = evaluate(given, tmp_path, [given / "baseline-1-None", given / "gan-1-3"])
    assert {row["patient"] for row in content["patients"]} == {"p4", "p5", "p6", "p7"}
    assert "Only the folds 1 of 2 were evaluated." in content["warnings"]


def test_what_was_trained_on_another_fold_is_refused(given: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="trained on fold 1 of this patch set, and has seen test patients of fold 0"):
        select_samples.run(
            SelectSamplesConfig.make({"fold": 0, "device": "cpu"}),
            patches=given / "patches",
            extractor=given / "baseline-1-None",
            pool_in=given / "pool-0-3",
            selected=tmp_path / "selected",
            pool=tmp_path / "pool",
        )
    config = TrainClassifierConfig.make({**CLASSIFIER, "arm": "gan", "fold": 1})
    with pytest.raises(ModelError, match="The generator of the synthetic patches was trained on fold 0"):
        train_classifier.run(config, patches=given / "patches", synthetic=given / "pool-0-3", model=tmp_path / "model")
