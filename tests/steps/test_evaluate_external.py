"""The external test: a second source on which nothing was chosen, cut like the first, beside the internal test."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import accuracy_score
from tiny_study import CLASSES, SETTINGS, write_images

from histoforge.classifiers.arms import load_arm
from histoforge.core.errors import HistoforgeError, PatchSetError, SettingsError, SourceError
from histoforge.evaluation.publishable_results import read_results
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.phantom import draw_patches
from histoforge.steps import evaluate, preprocess, train_classifier
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS
from histoforge.tasks import scan_source

PATTERN = "([pq][0-9]+)-"
EVALUATION = {"device": "cpu", "precision": "float32", "resamples": 100}


def config(step, **values):
    own = {name.partition(".")[2]: value for name, value in SETTINGS.items() if name.startswith(f"{step}.")}
    return step_config(STEPS[step], "", {f"{step}.{name}": value for name, value in {**own, **values}.items()})


def external_images(folder, patients=6, seed=50, prefix="q"):
    drawn = draw_patches(18, (16, 16), mpp=2.0, patients=patients, seed=seed)
    for number, (image, label, patient) in enumerate(zip(drawn.images, drawn.labels, drawn.patients, strict=True)):
        directory = folder / CLASSES[label]
        directory.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(directory / f"{prefix}{int(''.join(filter(str.isdigit, patient)))}-{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A patch set, two arms of two seeds, and an external source of six other patients."""
    folder = tmp_path_factory.mktemp("trained")
    cutting = config("preprocess", source=str(write_images(folder / "source")), patient_pattern="(p[0-9]+)-")
    preprocess.run(cutting, patches=folder / "patches", overviews=folder / "overviews")
    for arm in ("baseline", "traditional"):
        training = config("train_classifier", arm=arm, device="cpu", precision="float32")
        train_classifier.run(training, patches=folder / "patches", model=folder / arm)
    external_images(folder / "external")
    return folder


def run(folder, out, test_source):
    out.mkdir(exist_ok=True)
    external = {"test_source": str(test_source), "test_patient_pattern": PATTERN} if test_source else {}
    settings = config("evaluate", **EVALUATION, **external)
    arms = [folder / "baseline", folder / "traditional"]
    summary = evaluate.run(
        settings, patches=folder / "patches", arms=arms, report=out / "report.html", metrics=out / "metrics.json"
    )
    return summary, json.loads((out / "metrics.json").read_text())


@pytest.fixture(scope="module")
def tested(trained, tmp_path_factory):
    return run(trained, tmp_path_factory.mktemp("tested"), trained / "external")


def test_all_external_patches_are_tested_with_their_own_patients(trained, tested):
    _, results = tested
    external = results["external"]
    assert external["patches"] == dict.fromkeys(CLASSES, 18)
    assert external["units"] == {"": 6, **dict.fromkeys(CLASSES, 6)}
    assert len(external["patients"]) == 6
    assert set(external["arms"]) == {"baseline", "traditional"}
    assert external["lines"][0].startswith("External test (36 patches of 6 patients): ")
    assert results["answer"]["lines"][-1] == external["lines"][0]


def test_the_scores_are_those_of_the_classifiers_on_these_patches(trained, tested, tmp_path):
    whole = config("preprocess", source=str(trained / "external"), split_ratios="0:0:1", patient_pattern=PATTERN)
    preprocess.run(whole, patches=tmp_path / "patches", overviews=tmp_path / "overviews")
    patches = PatchSet.open(tmp_path / "patches")
    images = DevicePatches.load(patches, torch.device("cpu"))
    for classifier, run_of_seed in zip(
        load_arm(trained / "baseline", "cpu"), tested[1]["external"]["arms"]["baseline"]["runs"], strict=True
    ):
        predicted = classifier(images.batch(torch.arange(len(patches))).images).argmax(1).numpy()
        assert run_of_seed["accuracy"] == pytest.approx(accuracy_score(patches.labels, predicted))


def test_nothing_else_depends_on_the_external_source(trained, tested, tmp_path):
    _, alone = run(trained, tmp_path, "")
    assert alone["external"] is None
    _, results = tested
    for name in ("arms", "differences", "patients", "inputs", "data", "warnings"):
        assert results[name] == alone[name]
    assert results["answer"]["headline"] == alone["answer"]["headline"]


def test_the_report_the_summary_and_the_metrics_show_both_tests(trained, tested, tmp_path):
    summary, results = tested
    run(trained, tmp_path, trained / "external")
    page = (tmp_path / "report.html").read_text()
    assert "Classification of the external test" in page
    assert page.count("External test (36 patches of 6 patients)") == 2
    assert summary.external == results["external"]["lines"]
    assert "| External test: Arm |" in summary.markdown
    mean = results["external"]["arms"]["traditional"]["scores"]["accuracy"]["mean"]
    assert summary.metrics["external_traditional_accuracy"] == pytest.approx(mean)


def test_the_gate_reads_results_with_an_external_test(tmp_path, trained):
    run(trained, tmp_path, trained / "external")
    assert read_results(tmp_path / "metrics.json").models


@pytest.mark.parametrize("split", ["train", "test"])  # what one fold tests, another one trains on
def test_patches_that_are_in_both_sources_are_refused(trained, tmp_path, split):
    leaking = shutil.copytree(trained / "external", tmp_path / "leaking")
    patches = PatchSet.open(trained / "patches")
    row = int(np.flatnonzero(patches.index["split"] == split)[0])
    Image.fromarray(patches.images(np.array([row]))[0]).save(leaking / CLASSES[patches.labels[row]] / "q9-99.png")
    with pytest.raises(PatchSetError, match="1 patch of test_source .* with the same pixels occur in the patch set"):
        run(trained, tmp_path / "out", leaking)


def test_patients_of_the_same_name_are_pointed_out(trained, tmp_path):
    external_images(tmp_path / "named", prefix="p")
    summary, results = run(trained, tmp_path / "out", tmp_path / "named")
    (warning,) = [line for line in results["external"]["lines"] if "same persons" in line]
    assert warning.startswith("6 patients of the external test have the name of a patient in the patch set ('p")
    assert warning in summary.external


def test_other_classes_are_refused_in_one_sentence(trained, tmp_path):
    external_images(tmp_path / "other")
    (tmp_path / "other" / CLASSES[0]).rename(tmp_path / "other" / "healthy")
    with pytest.raises(PatchSetError, match="'healthy' and 'tumour', and the source that is trained on has 'benign'"):
        run(trained, tmp_path / "out", tmp_path / "other")


def scan(source, test_source, pattern=PATTERN):
    settings = {name: value for name, value in SETTINGS.items() if name.startswith("preprocess.")}
    overrides = {**settings, "evaluate.test_patient_pattern": pattern}
    return scan_source.run(str(source), "", overrides, {"evaluate": {"test_source": str(test_source)}})


def test_the_first_task_refuses_a_bad_test_source(trained, tmp_path):
    source = trained / "source"
    with pytest.raises(SettingsError, match="the source of the patch set itself"):
        scan(source, source)
    with pytest.raises(HistoforgeError, match="nowhere"):
        scan(source, tmp_path / "nowhere")
    with pytest.raises(SourceError, match="patient_pattern '.*' does not match"):
        scan(source, trained / "external", pattern="")
    external_images(tmp_path / "other")
    (tmp_path / "other" / CLASSES[0]).rename(tmp_path / "other" / "healthy")
    with pytest.raises(PatchSetError, match="name the classes alike"):
        scan(source, tmp_path / "other")


def test_the_first_task_gives_the_digest_of_the_test_source(trained, tmp_path):
    source, external = trained / "source", shutil.copytree(trained / "external", tmp_path / "external")
    first = scan(source, external)
    assert first.test_digest
    assert scan(source, "").test_digest == ""
    assert scan(source, "").digest == first.digest
    next((external / CLASSES[0]).iterdir()).unlink()
    second = scan(source, external)
    assert (second.test_digest != first.test_digest, second.digest) == (True, first.digest)
