"""The step `evaluate`: from arms on disk to a report and numbers, and every way in which it must refuse."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score
from tiny_encoders import write_encoder

from histoforge.classifiers.arms import load_arm
from histoforge.core.documents import read_json
from histoforge.core.errors import ModelError, PatchSetError, SettingsError
from histoforge.core.files import write_json
from histoforge.core.seals import write_sealed
from histoforge.evaluation.arm_factors import arm_title
from histoforge.evaluation.inputs import open_arms
from histoforge.metrics.untrained import UNTRAINED
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import to_unit
from histoforge.steps import train_classifier
from histoforge.steps.evaluate import run
from histoforge.steps.evaluate_config import EvaluateConfig
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.training.model_files import ModelInfo, save_model

CLASSES = ["dark", "light"]
SIZE = 32
PATIENTS = {"train": 4, "val": 2, "test": 6}
CLASSIFIER = {
    "backbone": "resnet10", "width": 0.125, "stem": "imagenet", "epochs": 2, "batch_size": 16, "device": "cpu",
    "precision": "float32",
}  # fmt: skip
FAST = {
    "device": "cpu",
    "precision": "float32",
    "resamples": 200,
    "map_patches": 40,
    "shown_patches": 3,
    "copy_patches": 25,
}


def draw(labels, seed):
    """Noise around 90 (dark) or 150 (light), uint8 [n, 32, 32, 3]."""
    rng = np.random.default_rng(seed)
    means = np.array([90, 150])[labels][:, None, None, None] + rng.normal(0, 30, (len(labels), 1, 1, 3))
    return np.clip(rng.normal(means, 40, (len(labels), SIZE, SIZE, 3)), 0, 255).astype(np.uint8)


def write_real(path, splits=PATIENTS, classes=CLASSES, summary=None):
    with PatchSetWriter.create(path, classes, (SIZE, SIZE), mpp=0.5) as writer:
        for split, patients in splits.items():
            for patient in range(patients):
                labels = np.full(10, patient % 2)
                name = f"{split}{patient}"
                writer.add(draw(labels, hash_free(name)), label=labels, patient=name, slide=f"{name}-s", split=split)
        made_by = {"step": "preprocess", "summary": summary} if summary else {"step": "preprocess"}
        writer.finish(made_by)


def hash_free(name):
    """A seed of a name that is the same in every process."""
    return int.from_bytes(name.encode(), "big") % 2**32


def write_pool(path, count=40, kept=12):
    """Candidates of which the first ones of each class were kept."""
    labels = np.arange(count) % 2
    rng = np.random.default_rng(5)
    with PatchSetWriter.create(path, CLASSES, (SIZE, SIZE), mpp=0.5, synthetic=True) as writer:
        writer.add(
            draw(labels, 9), label=labels, method="histogan", generator="ab" * 32, seed=0, entropy=rng.random(count),
            distance=rng.random(count), confidence=rng.random(count), kept=np.arange(count) < kept,
        )  # fmt: skip
        writer.finish({"step": "select_samples", "config": {"rule": "entropy_centroid"}})


def train(arm, folder, synthetic=None, seeds=3):
    config = TrainClassifierConfig.make({**CLASSIFIER, "arm": arm, "seeds": seeds})
    train_classifier.run(config, patches=folder / "patches", synthetic=synthetic, model=folder / arm)
    return folder / arm


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    write_real(folder / "patches")
    write_pool(folder / "pool")
    train("baseline", folder)
    train("selective", folder, folder / "pool")
    write_generator_record(folder / "generator")
    (folder / "overviews" / "pictures").mkdir(parents=True)
    Image.new("RGB", (40, 30), "pink").save(folder / "overviews" / "pictures" / "s1.jpg")
    document = {"slide": "s1", "patient": "p1", "picture": "s1.jpg", "patches": {"dark": 3}, "tissue": 0.25, "mpp": 0.5}
    write_json(folder / "overviews" / "pictures" / "pictures.json", [document])
    return folder


def write_generator_record(path):
    """A generator of which only the record of its training is looked at."""
    info = ModelInfo(kind="generator", method="histogan", config={}, classes=CLASSES, patch_size=(SIZE, SIZE))
    epochs = [
        {"epoch": e, "step": e, "wasserstein": 1.0 / e, "fid": 9.0 - e, "fid_smoothed": 9.5 - e} for e in (1, 2, 3)
    ]
    history = {
        "epochs": [*epochs, {"epoch": 4, "step": 4, "loss": 0.2, "fid": None, "fid_smoothed": None}],
        "chosen_epoch": 3, "classes": CLASSES, "pictures": {"3": "pictures/epoch-0003.png"},
        "attention": "pictures/attention.png",
    }  # fmt: skip

    def beside(folder: Path) -> None:
        (folder / "pictures").mkdir()
        for name in ("epoch-0003.png", "attention.png"):
            Image.new("RGB", (64, 32), "purple").save(folder / "pictures" / name)
        write_json(folder / "history.json", history)

    save_model(path, info, {"weight": torch.zeros(1)}, beside)


@pytest.fixture(scope="module")
def full(given, tmp_path_factory):
    """The whole evaluation: its folder, summary, and metrics.json."""
    out = tmp_path_factory.mktemp("full")
    summary = run(
        EvaluateConfig.make(FAST),
        patches=given / "patches",
        arms=[given / "selective", given / "baseline"],
        generator=given / "generator",
        pool=given / "pool",
        overviews=given / "overviews",
        report=out / "report.html",
        metrics=out / "metrics.json",
    )
    return out, summary, read_json(out / "metrics.json")


def evaluate(given, out, arms=("baseline",), patches="patches", **more):
    config = EvaluateConfig.make({**FAST, **more.pop("config", {})})
    paths = [given / arm for arm in arms]
    return run(
        config, patches=given / patches, arms=paths, report=out / "report.html", metrics=out / "metrics.json", **more
    )


def test_scores_are_those_of_the_classifiers_on_the_test_split(full, given):
    _, summary, metrics = full
    test = PatchSet.open(given / "patches").split("test")
    images = to_unit(torch.from_numpy(test.images()).permute(0, 3, 1, 2))
    for arm in ("baseline", "selective"):
        for classifier, run_metrics in zip(load_arm(given / arm), metrics["arms"][arm]["runs"], strict=True):
            with torch.inference_mode():
                probabilities = classifier(images).softmax(1).numpy()
            assert run_metrics["accuracy"] == pytest.approx(accuracy_score(test.labels, probabilities.argmax(1)))
            assert run_metrics["auc"] == pytest.approx(roc_auc_score(test.labels, probabilities[:, 1]), abs=1e-6)
            assert run_metrics["confusion"] == confusion_matrix(test.labels, probabilities.argmax(1)).tolist()
        means = metrics["arms"][arm]["scores"]["accuracy"]
        assert means["mean"] == pytest.approx(np.mean(means["seeds"]))
        assert means["deviation"] == pytest.approx(np.std(means["seeds"], ddof=1))
    assert (summary.test_patches, summary.test_units) == (60, 6)
    assert [row["patient"] for row in metrics["patients"]] == [f"test{i}" for i in range(6)]


def test_the_difference_is_paired_and_from_the_reference(full):
    _, summary, metrics = full
    scores = {arm: metrics["arms"][arm]["scores"]["accuracy"]["mean"] for arm in ("baseline", "selective")}
    assert (summary.best, summary.reference) == ("selective", "baseline")
    assert summary.difference == pytest.approx(scores["selective"] - scores["baseline"])
    assert summary.low <= summary.difference <= summary.high
    assert summary.metrics["selective_gain"] == summary.difference
    assert summary.answer[0] == metrics["answer"]["headline"]


def test_what_makes_an_arm_is_no_other_setting(full):
    _, summary, _ = full
    assert not any("other settings" in warning for warning in summary.warnings)


def test_other_settings_are_named(given, tmp_path):
    shutil.copytree(given / "selective", tmp_path / "arm")
    document = read_json(tmp_path / "arm" / "arm.json")
    config = {**document["config"], "batch_size": 8}
    write_sealed(tmp_path / "arm" / "arm.json", {**document, "config": config}, 1)
    result = evaluate(given, tmp_path, arms=[given / "baseline", tmp_path / "arm"])
    assert "Trained with other settings than baseline: selective" in "\n".join(result.warnings)


def test_all_patches_are_compared_with_training_patches_in_equal_numbers(full):
    _, _, metrics = full
    rows = metrics["generative"]
    *classifiers, pixels, convolutions = dict.fromkeys(row["extractor"] for row in rows)
    assert len(classifiers) == 2
    assert (pixels, convolutions) == UNTRAINED
    kinds = {(row["synthetic"], row["against"]) for row in rows}
    assert {
        (s, f"{a} patches") for s in ("unselected", "selected", "rejected") for a in ("training", "held-out")
    } < kinds
    references = ("real held-out", "real as JPEG 75", "blurred real", "shuffled pixels", "random noise")
    assert {(s, "training patches") for s in references} < kinds
    assert {row["n_fake"] for row in rows} == {12}
    assert all(row["fid"] is not None and row["note"] for row in rows)
    assert metrics["memorisation"]["duplicates"] == []
    assert metrics["memorisation"]["registered"]["n_compared"] == 25 < metrics["memorisation"]["n_synthetic"]
    assert metrics["memorisation"]["extractor"] == classifiers[-1]
    assert metrics["selection"]["classes"]["dark"] | {"entropy": 0, "distance": 0, "confidence": 0} == {
        "candidates": 20, "kept": 6, "entropy": 0, "distance": 0, "confidence": 0,
    }  # fmt: skip


def test_what_the_synthetic_patches_are_is_judged_by_the_second_seed(full, given):
    _, summary, metrics = full
    realism, checks = metrics["realism"], metrics["extractor_checks"]
    assert realism["subset"] == "selected"
    assert (realism["judge"], realism["judge_selected"]) == (checks[1]["extractor"], False)
    assert [check["extractor"] for check in checks[2:]] == list(UNTRAINED)
    pool = PatchSet.open(given / "pool")
    dark = pool.images()[pool.index["kept"] & (pool.labels == 0)]
    judge = load_arm(given / "baseline", "cpu")[1]
    with torch.inference_mode():
        probabilities = judge(to_unit(torch.from_numpy(dark).permute(0, 3, 1, 2))).softmax(1)[:, 0]
    assert realism["classes"][0]["probability"] == pytest.approx(float(probabilities.quantile(0.5)), rel=1e-3)
    assert all(caveat in metrics["answer"]["caveats"] for caveat in summary.caveats)


def test_the_generators_record_and_the_slides_are_shown(full):
    out, _, metrics = full
    assert metrics["generator"]["chosen_epoch"] == 3
    assert metrics["generator"]["curves"]["fid"] == [[1, 2, 3], [8, 7, 6]]
    html = (out / "report.html").read_text()
    assert "Samples after epoch 3 (kept)" in html
    assert "attention maps" in html
    assert "s1, patient p1: 3 dark patches; tissue on 25% of the slide; 0.5 um/px." in html
    for section in (
        "study",
        "classes",
        "patients",
        "realism",
        "selection",
        "generator",
        "memorisation",
        "slides",
        "training",
    ):
        assert f'<section id="{section}"' in html
    assert len(html) < 3_000_000


def test_what_kubeflow_gets_is_finite(full):
    _, summary, _ = full
    values = [*summary.metrics.values(), *summary.roc.fpr, *summary.roc.tpr, *summary.roc.threshold]
    assert np.isfinite(values).all()
    assert len(summary.roc.fpr) == len(summary.roc.tpr) == len(summary.roc.threshold)
    assert np.sum(summary.confusion.matrix) == 3 * 60
    assert summary.confusion.categories == CLASSES
    json.dumps(summary.model_dump(), allow_nan=False)
    assert summary.markdown.startswith("## ")


def test_one_arm_of_one_seed_is_enough_for_a_report(given, tmp_path):
    train("baseline", tmp_path_like(given, tmp_path), seeds=1)
    summary = evaluate(tmp_path, tmp_path)
    assert summary.verdict == "no_comparison"
    assert summary.difference is None
    html = (tmp_path / "report.html").read_text()
    assert '<section id="selection"' not in html
    assert '<section id="generator"' not in html
    assert read_json(tmp_path / "metrics.json")["generative"] == []


def test_the_same_inputs_give_the_same_numbers(full, given, tmp_path):
    _, summary, metrics = full
    again = evaluate(given, tmp_path, ("selective", "baseline"), pool=given / "pool", generator=given / "generator")
    assert again.metrics == summary.metrics
    second = read_json(tmp_path / "metrics.json")
    assert {k: v for k, v in second.items() if k != "provenance"} == {
        k: v for k, v in metrics.items() if k != "provenance"
    }


def test_selected_patches_alone_are_judged_without_a_pool_in_the_space_of_an_encoder_too(given, tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOFORGE_CACHE", str(tmp_path / "cache"))
    encoders = [str(write_encoder(tmp_path / "encoder"))]
    summary = evaluate(given, tmp_path, selected=given / "pool", config={"encoders": encoders})
    rows = read_json(tmp_path / "metrics.json")["generative"]
    names = list(dict.fromkeys(row["extractor"] for row in rows))
    assert [name.startswith("Tiny") for name in names].count(True) == 1
    independent = next(row for row in rows if row["extractor"] == names[-4] and row["synthetic"] == "selected")
    assert summary.metrics["fid_selected_training"] == pytest.approx(independent["fid"]), "not that of the encoder"
    assert {row["synthetic"] for row in rows} == {
        "selected", "real held-out", "real as JPEG 75", "blurred real", "shuffled pixels", "random noise"
    }  # fmt: skip
    assert {row["n_fake"] for row in rows if row["synthetic"] == "selected"} == {40}


def test_without_the_reference_the_first_arm_is_compared_with(given, tmp_path):
    summary = evaluate(given, tmp_path, ("selective", "baseline"), config={"reference": "vanilla"})
    assert summary.reference == "selective"
    assert any("no arm 'vanilla'" in warning and "'selective'" in warning for warning in summary.warnings)


def test_what_lessens_trust_is_said(given, tmp_path):
    summary = {
        "kind": "images", "patients_known": True, "split_by": "slide",
        "warnings": ["The split is by slide"], "failed": [{"name": "a.svs", "reason": "it is cut short."}],
    }  # fmt: skip
    write_real(tmp_path / "patches", {"train": 4, "val": 2, "test": 2}, summary=summary)
    result = evaluate(tmp_path, tmp_path, arms=[given / "baseline"])
    warnings = "\n".join(result.warnings)
    assert "The split is by slide." in warnings
    assert "a.svs (it is cut short)" in warnings
    assert "All test patches of class 'dark' come from one of the patients" in warnings
    assert "Trained on another patch set" in warnings


def test_balanced_accuracy_decides_where_classes_are_uneven(given, tmp_path):
    write_real(tmp_path / "patches", {"train": 4, "val": 2, "test": 7})
    result = evaluate(tmp_path, tmp_path, arms=[given / "baseline", given / "selective"])
    assert result.score == "balanced_accuracy"
    answer = read_json(tmp_path / "metrics.json")["answer"]
    assert answer["score"] == "balanced_accuracy"
    assert answer["score_reason"] == (
        "Balanced accuracy decides, because the classes of the test split are uneven (30 to 40 patches each)."
    )
    assert answer["score_reason"] in answer["lines"][0]
    assert "balanced accuracy" in answer["headline"]
    kept = evaluate(tmp_path, tmp_path, arms=[given / "baseline"], config={"score": "accuracy"})
    assert kept.score == "accuracy"


def test_a_patient_in_two_splits_is_told_in_the_headline_box(given, tmp_path):
    with PatchSetWriter.create(tmp_path / "patches", CLASSES, (SIZE, SIZE), mpp=0.5) as writer:
        for split in ("train", "val", "test"):
            labels = np.arange(12) % 2
            writer.add(draw(labels, 1), label=labels, patient=[f"p{i % 6}" for i in range(12)], slide="s", split=split)
        writer.finish({"step": "preprocess"})
    result = evaluate(tmp_path, tmp_path, arms=[given / "baseline"])
    (caveat,) = result.caveats
    assert "6 of 6 test patients also have patches in other splits" in caveat
    assert "not for new patients" in caveat
    assert caveat in read_json(tmp_path / "metrics.json")["answer"]["caveats"]
    assert caveat in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_unknown_patients_are_not_called_patients(given, tmp_path):
    write_real(tmp_path / "patches", summary={"kind": "images", "patients_known": False})
    result = evaluate(tmp_path, tmp_path, arms=[given / "baseline"])
    assert any("names no patients" in text for text in result.caveats)
    assert read_json(tmp_path / "metrics.json")["data"]["unit"] == "images"


def test_no_test_split_is_one_sentence(given, tmp_path):
    write_real(tmp_path / "patches", {"train": 4, "val": 2})
    with pytest.raises(PatchSetError, match="no patches in its 'test' split"):
        evaluate(tmp_path, tmp_path, arms=[given / "baseline"])
    assert not (tmp_path / "report.html").exists()


def test_an_external_test_set_is_evaluated_without_training_patches(given, tmp_path):
    write_real(tmp_path / "patches", {"test": 6})
    external = {"arms": [given / "baseline", given / "selective"], "generator": given / "generator"}
    summary = evaluate(tmp_path, tmp_path, **external, pool=given / "pool")
    assert summary.test_units == 6
    (left_out,) = [text for text in summary.warnings if "no training patches" in text]
    assert "are not compared with training patches" in left_out
    results = read_json(tmp_path / "metrics.json")
    assert results["memorisation"] is None
    assert {row["against"] for row in results["generative"]} == {"held-out patches"}
    assert "not compared with training patches" in (tmp_path / "report.html").read_text(encoding="utf-8")
    without_pool = evaluate(tmp_path, tmp_path, **external)
    assert not any("no training patches" in text for text in without_pool.warnings)


def test_no_arms_and_two_of_one_name_are_refused(given, tmp_path):
    with pytest.raises(SettingsError, match="no arms to compare"):
        evaluate(given, tmp_path, ())
    with pytest.raises(SettingsError, match="Two arms are called 'baseline'"):
        evaluate(given, tmp_path, ("baseline", "baseline"))


def test_an_arm_of_other_classes_or_patch_size_is_refused(given, tmp_path):
    write_real(tmp_path / "patches", classes=["dark", "bright"])
    with pytest.raises(ModelError, match=r"trained on the classes dark, light.*has dark, bright"):
        evaluate(tmp_path, tmp_path, arms=[given / "baseline"])
    shutil.copytree(given / "baseline", tmp_path / "arm")
    document = read_json(tmp_path / "arm" / "arm.json")
    write_sealed(tmp_path / "arm" / "arm.json", {**document, "patch_size": [64, 64]}, 1)
    with pytest.raises(ModelError, match="patches of 64x64 px, and the patch set has 32x32 px"):
        evaluate(given, tmp_path, arms=[tmp_path / "arm"])


def test_wrong_files_are_refused_before_anything_is_computed(given, tmp_path):
    with pytest.raises(ModelError, match="no Inception weights at"):
        evaluate(given, tmp_path, pool=given / "pool", config={"inception_weights": str(tmp_path / "none.pt")})
    with pytest.raises(ModelError, match="is a classifier, but a generator is needed"):
        evaluate(given, tmp_path, generator=given / "baseline" / "seed-0")


def test_what_is_no_arm_is_refused(given, tmp_path):
    with pytest.raises(ModelError, match="is not an arm"):
        evaluate(given, tmp_path, ("pool",))


def test_a_pool_of_other_classes_is_refused(given, tmp_path):
    write_real(tmp_path / "other", classes=["a", "b"])
    with pytest.raises(PatchSetError, match="has the classes a, b, and the real patch set has dark, light"):
        evaluate(given, tmp_path, pool=tmp_path / "other")


def tmp_path_like(given, folder):
    """A folder with the same real patches."""
    shutil.copytree(given / "patches", folder / "patches")
    return folder


def test_factors_travel_with_the_arm(given, tmp_path):
    factors = ["kind=baseline", "fraction=0.1"]
    config = TrainClassifierConfig.make({**CLASSIFIER, "arm": "few", "seeds": 1, "epochs": 1, "factors": factors})
    train_classifier.run(config, patches=given / "patches", model=tmp_path / "few")
    arms, reference, warnings = open_arms([tmp_path / "few"], PatchSet.open(given / "patches"), "baseline")
    assert arms[0].factors == {"kind": "baseline", "fraction": 0.1}
    assert (reference, warnings) == ("few", [])
    assert arm_title("few", arms[0].factors) == "baseline at 10%"
