"""The step `publish_model`: what the gate lets pass, what it keeps out and why, and what does not fit."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from s3_server import serve_s3, use

from histoforge.core.documents import read_json
from histoforge.core.errors import ModelError, PatchSetError, SettingsError, SourceError, StorageError
from histoforge.core.files import write_json
from histoforge.evaluation.challenger_comparison import ChallengerComparison, unit_digests
from histoforge.evaluation.publishable_results import AuditDecision
from histoforge.evaluation.result_records import SCHEMA_VERSION
from histoforge.metrics.crossed import NO_VARIANCE, CrossedEffect
from histoforge.models import ModelStore, Verdict
from histoforge.models.gate import check_audit, check_difference
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.steps import evaluate, train_classifier
from histoforge.steps.evaluate_config import EvaluateConfig
from histoforge.steps.publish_model import run
from histoforge.steps.publish_model_config import PublishModelConfig
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.storage import open_location
from histoforge.training.model_files import ModelInfo, save_model

CLASSES = ["dark", "light"]
SIZE = 16
CPU = {"device": "cpu", "precision": "float32"}
CLASSIFIER = {
    "backbone": "resnet10", "width": 0.125, "stem": "small", "batch_size": 16, "seeds": 3, "learning_rate": 3e-3, **CPU,
}  # fmt: skip
PASSED = {"copied": False, "enough": True, "verdict": "No sign of copying.", "extractor": "resnet10"}


def write_patches(path: Path, splits: dict[str, int], classes: list[str] = CLASSES, size: int = SIZE) -> Path:
    """Noise around 90 (dark) or 150 (light); a patient has one class."""
    rng = np.random.default_rng(0)
    with PatchSetWriter.create(path, classes, (size, size), mpp=0.5) as writer:
        for split, patients in splits.items():
            for patient in range(patients):
                label = patient % 2
                images = np.clip(rng.normal(90 + 60 * label, 40, (6, size, size, 3)), 0, 255).astype(np.uint8)
                name = f"{split}{patient}"
                writer.add(images, label=np.full(6, label), patient=name, slide=name, split=split)
        writer.finish({"step": "preprocess", "source_digest": "cd" * 32})
    return path


def train(path: Path, patches: Path, synthetic: Path | None = None, **settings) -> Path:
    config = TrainClassifierConfig.make({**CLASSIFIER, "arm": path.name, "epochs": 8, **settings})
    train_classifier.run(config, patches=patches, synthetic=synthetic, model=path)
    return path


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patches, and three arms: one that learnt nothing, one that learnt, and one with synthetic patches."""
    folder = tmp_path_factory.mktemp("given")
    patches = write_patches(folder / "patches", {"train": 4, "val": 2, "test": 12})
    train(folder / "weak", patches, epochs=1, learning_rate=1e-12)
    train(folder / "strong", patches)
    with PatchSetWriter.create(folder / "fakes", CLASSES, (SIZE, SIZE), mpp=0.5, synthetic=True) as writer:
        labels = np.arange(8) % 2
        images = np.full((8, SIZE, SIZE, 3), 90, np.uint8) + 60 * labels.astype(np.uint8)[:, None, None, None]
        writer.add(images, label=labels, method="histogan", generator="ab" * 32, seed=0)
        writer.finish({"step": "select_samples"})
    train(folder / "selective", patches, folder / "fakes")
    config = EvaluateConfig.make({**CPU, "resamples": 100, "map_patches": 10, "shown_patches": 0})
    evaluate.run(
        config, patches=patches, arms=[folder / "weak", folder / "selective"], selected=folder / "fakes",
        report=folder / "report.html", metrics=folder / "metrics.json",
    )  # fmt: skip
    return folder


def publish(given: Path, out: Path, arm: str, results: Path | None = None, patches: str = "patches", **settings):
    config = PublishModelConfig.make({"models": str(out / "models"), **CPU, **settings})
    return run(
        config, patches=given / patches, challenger=given / arm, results=results, publication=out / "publication"
    )


def publish_unlearned(given: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **settings):
    """Publish the arm that learnt nothing, as versions before the test of learning did."""
    with monkeypatch.context() as earlier:
        earlier.setattr(ChallengerComparison, "learned", lambda *_: Verdict(True, ""))
        return publish(given, out, "weak", **settings)


def store_of(out: Path) -> ModelStore:
    return ModelStore(open_location(str(out / "models")), "classifier")


def results_with(given: Path, out: Path, audit: dict | None) -> Path:
    """The evaluation's results with another audit."""
    write_json(out / "metrics.json", {**read_json(given / "metrics.json"), "memorisation": audit})
    return out / "metrics.json"


@pytest.mark.parametrize("champion", [False, True])
def test_a_challenger_that_did_not_learn_is_refused(given: Path, tmp_path: Path, champion: bool) -> None:
    if champion:
        publish(given, tmp_path, "strong")
    refused = publish(given, tmp_path, "weak", margin=0.5)
    assert not refused.published
    assert re.search(r"because it is not shown to have learned anything \(balanced accuracy 0\.(4|5)", refused.said)
    assert "and guessing reaches 0.50; p = " in refused.said
    assert len(store_of(tmp_path).versions()) == champion


def test_the_first_needs_no_champion_and_a_better_challenger_replaces_it(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish_unlearned(given, tmp_path, monkeypatch)
    assert first.published
    assert first.said.startswith(f"published classifier {first.version} as champion because it is the first")
    better = publish(given, tmp_path, "strong")
    assert better.published
    assert "because it is better by" in better.said
    assert "12 patients, 3 and 3 classifiers" in better.said
    assert 0 < better.difference_low <= better.difference
    decision = read_json(tmp_path / "publication" / "decision.json")
    assert decision["evidence"]["difference"] == better.difference
    assert decision["champion"]["replaces"] == first.version
    assert store_of(tmp_path).champion().version == better.version
    fetched = store_of(tmp_path).fetch(better.version, tmp_path / "fetched")
    assert (fetched / "arm.json").read_bytes() == (given / "strong" / "arm.json").read_bytes()


def test_a_worse_or_equal_challenger_keeps_the_champion_and_is_no_error(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(given, tmp_path, "strong")
    worse = publish_unlearned(given, tmp_path, monkeypatch)
    assert (worse.published, worse.version, worse.challenger) == (False, first.version, "")
    assert worse.said.startswith(f"kept the champion {first.version} of classifier because it is worse by")
    shutil.copytree(given / "strong", given / "twin")
    (given / "twin" / "notes.txt").write_text("trained once more")
    equal = publish(given, tmp_path, "twin")
    assert not equal.published
    assert "because no difference found: +0.0 points" in equal.said
    within = publish(given, tmp_path, "twin", margin=0.1)
    assert within.published
    assert "not worse by 10 points" in within.said


def test_a_single_classifier_is_published_too(given: Path, tmp_path: Path) -> None:
    done = publish(given, tmp_path, "strong/seed-1", name="one")
    again = publish(given, tmp_path, "strong/seed-2", name="one")
    assert "12 patients, 1 and 1 classifier" in again.said
    card = ModelStore(open_location(str(tmp_path / "models")), "one").card(done.version)
    assert (card.form, card.arm, card.seeds) == ("classifier", "strong", [1])


def test_the_card_describes_the_model_and_its_training(given: Path, tmp_path: Path) -> None:
    done = publish(
        given, tmp_path, "selective", results_with(given, tmp_path, PASSED), trained_with="quickstart",
        licence="CC-BY-4.0", limits="Not for frozen sections.",
    )  # fmt: skip
    assert done.published
    card = store_of(tmp_path).card(done.version)
    patches = PatchSet.open(given / "patches")
    assert card.digests == {
        "patches": patches.digest, "synthetic": PatchSet.open(given / "fakes").digest, "source": "cd" * 32,
    }  # fmt: skip
    assert card.patches == patches.info.counts
    assert card.units["test"] == {"": 12, "dark": 6, "light": 6}
    assert card.synthetic == {"dark": 4, "light": 4}
    assert (card.presets, card.licences["model"]) == (["quickstart"], "CC-BY-4.0")
    assert card.extractors
    assert card.limits[-1] == "Not for frozen sections."
    assert len(card.seen) == 6
    assert "train0" not in card.model_dump_json()
    scores = card.scores["accuracy"]
    assert (scores.low is None) or scores.low <= scores.value <= scores.high
    evaluated = read_json(given / "metrics.json")["arms"]["selective"]["scores"]["accuracy"]
    assert scores.value == pytest.approx(evaluated["mean"])
    page = (tmp_path / "models" / "classifier" / done.version / "README.md").read_text()
    assert card.intended_use in page
    assert all(limit in page for limit in card.limits)
    assert all(name in page for name in (*card.extractors, *card.digests, "CC-BY-4.0", "Preset: quickstart."))
    assert f"histoforge {card.code_version}" in page
    assert "No sign of copying." in page
    assert "| test | 36 (6) | 36 (6) |" in page


@pytest.mark.parametrize(
    ("audit", "reason"),
    [
        (None, "have no memorisation audit"),
        ({**PASSED, "copied": True, "verdict": "2 copies."}, r"audit failed \(2 copies\)"),
        ({**PASSED, "enough": False, "verdict": "Too few."}, r"audit is inconclusive \(Too few\)"),
    ],
)
def test_synthetic_patches_need_an_audit_that_passed(given: Path, tmp_path: Path, audit, reason: str) -> None:
    done = publish(given, tmp_path, "selective", results_with(given, tmp_path, audit))
    assert not done.published
    assert done.version == ""
    assert done.said.startswith("published nothing as classifier because its ")
    assert re.search(reason, done.said)
    assert store_of(tmp_path).versions() == []
    assert check_audit(False, AuditDecision(**audit) if audit else None).accepted


def test_too_few_test_patients_publish_nothing(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = publish(given, tmp_path, "strong", fewest_patients=13)
    assert (
        first.said
        == "published nothing as classifier because only 12 patients are in the test split, and 13 are needed."
    )
    publish_unlearned(given, tmp_path, monkeypatch)
    read_card = ModelStore.card
    seen = {"seen": patients_seen(given)}
    monkeypatch.setattr(ModelStore, "card", lambda *arguments: read_card(*arguments).model_copy(update=seen))
    known = publish(given, tmp_path, "strong")
    assert "only 4 test patients can be compared (8 others trained the champion), and 5 are needed" in known.said


def patients_seen(given: Path) -> list[str]:
    return unit_digests(np.array([f"test{number}" for number in range(8)])).tolist()


def test_the_whole_interval_must_lie_above_the_margin() -> None:
    size = {"patients": 12, "generators": 0, "runs": 3, "reference_runs": 3}
    effect = CrossedEffect(difference=0.01, low=-0.02, high=0.04, p=0.4, **size)
    assert not check_difference(effect, "auc", 0.0, 5, "patients").accepted
    assert not check_difference(effect, "auc", 0.02, 5, "patients").accepted
    assert check_difference(effect, "auc", 0.021, 5, "patients").accepted
    assert not check_difference(effect.model_copy(update={"patients": 4}), "auc", 0.5, 5, "patients").accepted
    undefined = effect.model_copy(update={"low": None, "high": None, "note": "most resamples lack a class"})
    exact = CrossedEffect(difference=0.0, note=NO_VARIANCE, **size)
    assert not check_difference(exact, "auc", 0.0, 5, "patients").accepted
    assert check_difference(exact, "auc", 0.01, 5, "patients").accepted
    assert "lack a class" in check_difference(undefined, "auc", 0.5, 5, "patients").reason


def test_inputs_that_do_not_belong_together_are_one_sentence(given: Path, tmp_path: Path) -> None:
    info = ModelInfo(kind="generator", method="dcgan", config={}, classes=CLASSES, patch_size=(SIZE, SIZE))
    save_model(given / "generator", info, {"weight": torch.zeros(1)})
    other = write_patches(tmp_path / "other", {"train": 2, "val": 2, "test": 6})
    for arm, options, error, sentence in (
        ("generator", {}, ModelError, "is a generator, and classifiers are published"),
        ("nothing", {}, ModelError, "is not a model"),
        ("strong", {"patches": other}, PatchSetError, "was trained on another patch set .* may know"),
        ("strong", {"results": given / "metrics.json"}, SourceError, "of weak, selective and not of the models in"),
        ("strong", {"results": given / "report.html"}, SourceError, "contains no results of an evaluation"),
        ("strong", {"models": ""}, SettingsError, "'models' is empty"),
    ):
        with pytest.raises(error, match=sentence):
            publish(given, tmp_path, arm, **options)
    results = read_json(given / "metrics.json")
    for name, message in (("patches", "are of other test patients"), ("selected", "audit other synthetic patches")):
        inputs = {**results["inputs"], name: "12" * 32}
        for document in ({**results, "inputs": inputs}, of_version_1(results, inputs)):
            write_json(tmp_path / "metrics.json", document)
            with pytest.raises(SourceError, match=message):
                publish(given, tmp_path, "selective", tmp_path / "metrics.json")
    write_json(tmp_path / "metrics.json", {**results, "schema_version": SCHEMA_VERSION + 1})
    with pytest.raises(SourceError, match=f"has schema {SCHEMA_VERSION + 1}, newer than {SCHEMA_VERSION}"):
        publish(given, tmp_path, "selective", tmp_path / "metrics.json")
    assert not (tmp_path / "models").exists()


def of_version_1(results: dict, inputs: dict) -> dict:
    """Results in the schema of version 1, which names what was evaluated by labels."""
    provenance = {**results["provenance"], "Real patches": inputs["patches"], "Selected patches": inputs["selected"]}
    document = {name: value for name, value in results.items() if name != "inputs"}
    return {**document, "schema_version": 1, "provenance": provenance}


def test_results_of_version_1_are_read(given: Path, tmp_path: Path) -> None:
    results = read_json(results_with(given, tmp_path, PASSED))
    write_json(tmp_path / "metrics.json", of_version_1(results, results["inputs"]))
    assert publish(given, tmp_path, "selective", tmp_path / "metrics.json").published


@pytest.mark.parametrize("audit", [PASSED, {**PASSED, "copied": True}])
def test_rewording_every_label_changes_no_decision(given: Path, tmp_path: Path, audit: dict) -> None:
    results = read_json(results_with(given, tmp_path, audit))
    before = publish(given, tmp_path / "before", "selective", tmp_path / "metrics.json")
    reworded = {
        **results,
        "answer": {**results["answer"], "headline": "Reworded.", "lines": []},
        "provenance": {f"label {number}": "reworded" for number, _ in enumerate(results["provenance"])},
        "generative": [{**row, "synthetic": "x", "against": "y"} for row in results["generative"]],
        "selection": None,
    }
    write_json(tmp_path / "metrics.json", reworded)
    after = publish(given, tmp_path / "after", "selective", tmp_path / "metrics.json")
    assert (after.published, after.said, after.version) == (before.published, before.said, before.version)
    assert before.published is not audit["copied"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"classes": ["a", "b"]},
            "trained on the classes a, b, and the challenger has dark, light: choose another name",
        ),
        (
            {"patch_size": [32, 32]},
            "trained on patches of 32x32 px, and the challenger has 16x16 px: choose another name",
        ),
        ({"kind": "generator"}, "is a generator, and the challenger is a classifier: choose another name"),
    ],
)
def test_a_champion_of_another_task_is_one_sentence(
    given: Path, tmp_path: Path, change: dict, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_unlearned(given, tmp_path, monkeypatch)
    read_card = ModelStore.card
    monkeypatch.setattr(ModelStore, "card", lambda *arguments: read_card(*arguments).model_copy(update=change))
    with pytest.raises(ModelError, match=f"The champion of 'classifier' .*{sentence}"):
        publish(given, tmp_path, "strong")


def test_a_bucket_and_one_without_permission(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_s3(tmp_path / "buckets") as server:
        server.bucket("pathology")
        use(monkeypatch, server.endpoint)
        done = publish(given, tmp_path, "strong", models="s3://pathology/models")
        assert done.published
        assert done.location == "s3://pathology/models/classifier"
        use(monkeypatch, server.endpoint, AWS_SECRET_ACCESS_KEY="a-wrong-secret")
        with pytest.raises(StorageError, match="does not accept the access key or its secret"):
            publish(given, tmp_path, "strong", models="s3://pathology/models")
    shutil.rmtree(tmp_path / "buckets")


def test_the_component_returns_whether_it_published(given: Path, tmp_path: Path) -> None:
    from histoforge_components.publish_model.component import publish_model
    from kfp import dsl

    def artifact(kind, path: Path):
        return kind(name=path.name, uri=str(path))

    def call(challenger: str, folder: Path) -> tuple[bool, dict]:
        metrics, summary = artifact(dsl.Metrics, folder / "metrics"), artifact(dsl.Markdown, folder / "summary")
        published = publish_model.python_func(
            patches=artifact(dsl.Dataset, given / "patches"), challenger=artifact(dsl.Model, given / challenger),
            models=str(tmp_path / "models"), name="tumour", publication=artifact(dsl.Artifact, folder / "publication"),
            metrics=metrics, summary=summary, preset="quickstart", overrides={"device": "cpu"},
        )  # fmt: skip
        assert "tumour" in (folder / "summary").read_text()
        return published, metrics.metadata

    assert call("strong", tmp_path / "1")[0] is True
    published, metrics = call("weak", tmp_path / "2")
    assert published is False
    assert metrics.get("difference") is None
    assert read_json(tmp_path / "2" / "publication" / "model_card.json")["presets"] == ["quickstart"]
