"""A whole study with a planted truth: its positive control tells a useless set from a blind experiment.

A third of the training labels are wrong, so added patches with right labels help, and such with random labels do not.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from textures import CLASSES, stripes

from histoforge.patches import PatchSetWriter
from histoforge.steps.evaluate import run as evaluate
from histoforge.steps.evaluate_config import EvaluateConfig
from histoforge.steps.train_classifier import run as train
from histoforge.steps.train_classifier_config import TrainClassifierConfig

RECIPE = {
    "backbone": "resnet10",
    "width": 0.125,
    "stem": "imagenet",
    "epochs": 1000,
    "max_steps": 60,
    "batch_size": 8,
    "device": "cpu",
    "seeds": 3,
    "patience": 0,
    "checkpoint_every": 0,
    "control_ratio": 3.0,
}
TESTED = [("test", f"tested-{patient}", 12, 0.1) for patient in range(10)]
RIGHT, RANDOM = 0.0, 0.5


def write(path: Path, patients: list[tuple[str, str, int, float]]) -> Path:
    """Stripes of patients, each with a split, a name, a number of patches and the share of wrong labels."""
    rng = np.random.default_rng(1)
    with PatchSetWriter.create(path, CLASSES, (24, 24), 0.5) as writer:
        for number, (split, patient, count, wrong) in enumerate(patients):
            labels = np.arange(count) % 2
            shown = np.where(rng.random(count) < wrong, 1 - labels, labels)
            images = stripes(shown, 24, 100 + number)
            writer.add(images, label=labels, patient=patient, slide=patient, split=split, mpp=0.5)
        writer.finish({"step": "test", "summary": {"control_by": "patient"}})
    return path


def three(split: str, name: str, wrong: float) -> list[tuple[str, str, int, float]]:
    return [(split, f"{name}-{patient}", 16, wrong) for patient in range(3)]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder with the arms of the studies below."""
    folder = tmp_path_factory.mktemp("planted")
    fixed = [("train", "trained", 16, 0.34), ("val", "validated", 12, 0.0), *TESTED]
    real = write(folder / "real", [*fixed, *three("control", "control", RIGHT)])
    blind = write(folder / "blind", [*fixed, *three("control", "control", RANDOM)])
    wrong = {"planted": RIGHT, "useless": RANDOM}
    sets = {name: write(folder / f"{name}-set", three("train", name, share)) for name, share in wrong.items()}
    arms = [("baseline", "real", real), ("control", "control", real), ("blind_control", "control", blind)]
    for arm, use, patches in [*arms, ("planted", "both", real), ("useless", "both", real)]:
        config = TrainClassifierConfig.make({**RECIPE, "arm": arm, "use": use})
        train(config, patches=patches, synthetic=sets.get(arm), model=folder / arm)
    return folder


def evaluated(study: Path, out: Path, *arms: str):
    config = EvaluateConfig.make({"device": "cpu", "resamples": 200})
    paths = [study / arm for arm in ("baseline", *arms)]
    summary = evaluate(config, patches=study / "real", arms=paths, report=out / "r.html", metrics=out / "m.json")
    return summary, json.loads((out / "m.json").read_text())["control"]


def test_planted_real_patches_are_found_and_worth_as_many(study, tmp_path):
    summary, control = evaluated(study, tmp_path, "planted", "control")
    assert (summary.verdict, summary.best, summary.caveats) == ("better", "planted", [])
    price = control["prices"]["planted"]
    assert price["largest"] == 48
    assert price["low"] > 0
    assert price["open_ended"]
    assert "synthetic patches of planted were worth" in summary.answer[-1]


def test_useless_patches_are_worth_nothing_where_real_ones_help(study, tmp_path):
    summary, control = evaluated(study, tmp_path, "useless", "control")
    assert (summary.verdict, summary.caveats) == ("no_difference", [])
    assert "positive control shows that this experiment can find a benefit" in summary.answer[-2]
    assert control["prices"]["useless"]["high"] < 30


def test_where_real_patches_do_not_help_either_the_study_says_that_it_was_blind(study, tmp_path):
    summary, _ = evaluated(study, tmp_path, "useless", "blind_control")
    assert summary.verdict == "no_difference"
    assert summary.caveats[0].startswith("This experiment could not have shown a benefit: 48 held-back real patches")
    assert summary.caveats[0] in summary.markdown
