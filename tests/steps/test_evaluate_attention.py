"""The step `evaluate` shows where classifiers that weigh tiles look, and the F1 of each class with its interval."""

import numpy as np
import pytest
import torch
from html_pages import Outline
from sklearn.metrics import f1_score
from textures import CLASSES, write_stripes

from histoforge.classifiers.arms import load_arm, load_classifier
from histoforge.core.documents import read_json
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.steps import evaluate, train_classifier
from histoforge.steps.evaluate_config import EvaluateConfig
from histoforge.steps.train_classifier_config import TrainClassifierConfig

SIZE, TILE = 32, 16
QUICK = {"width": 0.125, "epochs": 1, "max_steps": 2, "batch_size": 8, "device": "cpu", "precision": "float32"}
ARMS = {
    "baseline": {"backbone": "admil", "tile_size": TILE, "input_size": 48, "seeds": 2},
    "other": {"backbone": "conv4", "seeds": 1},
    "gan": {"backbone": "admil", "tile_size": TILE, "seeds": 1},
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The folder of patches and arms, and metrics.json and the page of their evaluation."""
    folder = tmp_path_factory.mktemp("attention")
    write_stripes(folder / "patches", (8, 8), (4, 4), (6, 6), size=SIZE)
    for arm, settings in ARMS.items():
        config = TrainClassifierConfig.make({**QUICK, **settings, "arm": arm})
        train_classifier.run(config, patches=folder / "patches", model=folder / arm)
    config = {"device": "cpu", "precision": "float32", "resamples": 200, "shown_patches": 0, "shown_attention": 2}
    outputs = {"report": folder / "report.html", "metrics": folder / "metrics.json"}
    arms = [folder / arm for arm in ARMS]
    evaluate.run(EvaluateConfig.make(config), patches=folder / "patches", arms=arms, **outputs)
    return folder, read_json(folder / "metrics.json"), (folder / "report.html").read_text()


def test_the_tile_with_the_most_weight_is_that_of_the_classifier(evaluated):
    folder, results, _ = evaluated
    test = PatchSet.open(folder / "patches").split("test")
    images = DevicePatches.load(test, "cpu")
    for arm, last in (("baseline", SIZE), ("gan", SIZE - TILE)):
        records = [record for record in results["attention"] if record["arm"] == arm]
        assert [record["class_name"] for record in records] == [CLASSES[0]] * 2 + [CLASSES[1]] * 2
        classifier = load_classifier(folder / arm)
        with torch.inference_mode():
            trunk = classifier.trunk(images.batch(torch.arange(len(test))).images)
            weights = classifier.backbone.tile_weights(trunk.hidden)[:, 0]
            probabilities = classifier.tail(trunk.hidden).logits.softmax(1).amax(1)
        tops = weights.flatten(1).amax(1)
        for record in records:
            row = int((tops - record["weight"]).abs().argmin())
            assert record["weight"] == pytest.approx(float(tops[row]), rel=1e-4)
            place = weights[row, record["top"] // TILE, record["left"] // TILE]
            assert float(place) == pytest.approx(record["weight"], rel=1e-4)
            assert record["probability"] == pytest.approx(float(probabilities[row]), rel=1e-4)
            assert max(record["top"], record["left"]) <= last
            assert (record["side"], record["tiles"]) == (TILE, weights[0].numel())


def test_the_page_shows_the_images_with_the_attention_of_each_such_arm(evaluated):
    _, _, html = evaluated
    outline = Outline(html)
    assert "attention" in [a.get("id") for a in outline.all("section")]
    shown = [a["alt"] for a in outline.all("img") if "attention" in a["alt"]]
    assert len(shown) == 4
    assert all(text.endswith("and the attention of baseline and gan") for text in shown)
    assert "on the framed tile (11% if all 9 tiles were equal)" in html
    assert "(25% if all 4 tiles were equal)" in html


def test_f1_of_each_class_stands_in_the_results_and_on_the_page(evaluated):
    folder, results, html = evaluated
    test = PatchSet.open(folder / "patches").split("test")
    images = DevicePatches.load(test, "cpu").batch(torch.arange(len(test))).images
    arm = results["arms"]["baseline"]
    with torch.inference_mode():
        called = [classifier(images).argmax(1).numpy() for classifier in load_arm(folder / "baseline")]
    expected = np.array([f1_score(test.labels, each, average=None, zero_division=0) for each in called])
    for label, name in enumerate(CLASSES):
        np.testing.assert_allclose(arm["class_f1"][name]["seeds"], expected[:, label])
    np.testing.assert_allclose(arm["macro_f1"]["seeds"], expected.mean(1))
    assert arm["macro_f1"]["mean"] == pytest.approx(expected.mean())
    assert "F1 by class" in html
