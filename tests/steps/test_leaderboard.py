"""The step `leaderboard`: from scores and arms on disk to the page, against computations of its own; and refusals."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from scoring_parts import CLASSES, CLASSIFIER, SCORING, train_arm, write_generator, write_patches
from tiny_guide import save_random_guide

from histoforge.classifiers.arms import load_arm
from histoforge.core.documents import read_json
from histoforge.core.errors import ModelError, SettingsError
from histoforge.core.seals import write_sealed
from histoforge.evaluation.generator_scores import read_scores
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.steps import score_generator, train_classifier
from histoforge.steps.leaderboard import run
from histoforge.steps.leaderboard_config import LeaderboardConfig
from histoforge.steps.score_generator_config import ScoreGeneratorConfig
from histoforge.steps.train_classifier_config import TrainClassifierConfig

NAMES = ("rleo:literal", "rleo:policy")
GUIDED = {
    "reward": 0.1,
    "similarity": 0.4,
    "gradient_share": 0.02,
    "discriminator": 1.2,
    "generator": 0.8,
    "d_real": 0.7,
    "d_fake": 0.3,
}
HISTORY = json.dumps(
    {"epochs": [{"epoch": 1, "step": 4, "fid": 90.5, **GUIDED}, {"epoch": 2, "step": 8, "fid": 80.0, **GUIDED}]}
).encode()


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Two methods with two seeds, each with a classifier of its samples alone; one with the real patches too."""
    folder = tmp_path_factory.mktemp("given")
    write_patches(folder / "patches")
    train_arm(folder / "baseline", folder / "patches")
    for name in NAMES:
        for seed in (0, 1):
            run_folder = folder / f"{name.replace(':', '_')}_s{seed}"
            write_generator(run_folder / "generator", seed, HISTORY, reward=name.partition(":")[2])
            score_generator.run(
                ScoreGeneratorConfig.make({**SCORING, "name": name}),
                patches=folder / "patches",
                generator=run_folder / "generator",
                extractor=folder / "baseline",
                samples=run_folder / "samples",
                scores=run_folder / "scores",
            )
            arm(folder, run_folder, run_folder.name, "synthetic")
    arm(folder, folder / "rleo_policy_s1", "another_name", "both")
    return folder


def arm(folder, run_folder, name, use):
    config = TrainClassifierConfig.make({**CLASSIFIER, "arm": name, "seeds": 1, "use": use, "epochs": 1})
    train_classifier.run(config, patches=folder / "patches", synthetic=run_folder / "samples", model=run_folder / use)


def make(given, out, scores=None, arms=None, **others):
    runs = sorted(path for path in given.iterdir() if path.name.startswith("rleo"))
    result = run(
        LeaderboardConfig.make({"device": "cpu", "precision": "float32", "resamples": 200, "map_patches": 20}),
        patches=others.pop("patches", given / "patches"),
        scores=[each / "scores" for each in runs] if scores is None else scores,
        arms=[*(each / "synthetic" for each in runs), runs[3] / "both"] if arms is None else arms,
        **{"baseline": given / "baseline", **others},
        report=out / "page.html",
        metrics=out / "page.json",
    )
    return result, read_json(out / "page.json")


@pytest.fixture(scope="module")
def board(given, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    return *make(given, out), (out / "page.html").read_text(encoding="utf-8")


def test_means_and_deviations_are_those_of_the_seeds(given, board):
    summary, record, _ = board
    assert summary.seeds == dict.fromkeys(sorted(NAMES, key=lambda name: summary.means[name]["fid"]), 2)
    for name in NAMES:
        fids = [
            read_scores(given / f"{name.replace(':', '_')}_s{seed}" / "scores").judge_metrics.fid for seed in (0, 1)
        ]
        assert summary.means[name]["fid"] == pytest.approx(np.mean(fids))
        assert summary.deviations[name]["fid"] == pytest.approx(np.std(fids, ddof=1))
        assert record["methods"][name]["metrics"]["fid"]["seeds"] == pytest.approx({"0": fids[0], "1": fids[1]})
    assert summary.methods[0] == min(NAMES, key=lambda name: summary.means[name]["fid"])


@torch.inference_mode()
def test_downstream_accuracies_are_those_of_the_classifiers(given, board):
    _, record, _ = board
    test = PatchSet.open(given / "patches").split("test")
    images = DevicePatches.load(test, "cpu").batch(torch.arange(len(test))).images
    right, of_class = {}, {name: {} for name in CLASSES}
    for seed in (0, 1):
        (classifier,) = load_arm(given / f"rleo_policy_s{seed}" / "synthetic")
        hits = classifier(images).argmax(1).numpy() == test.labels
        right[str(seed)] = hits.mean()
        for label, name in enumerate(CLASSES):
            of_class[name][str(seed)] = hits[test.labels == label].mean()
    result = record["methods"]["rleo:policy"]["downstream"]["synthetic"]
    assert result["accuracy"]["values"] == pytest.approx(right)
    assert result["accuracy_between"][0] <= np.mean(list(right.values())) <= result["accuracy_between"][1]
    for name in CLASSES:
        assert result["classes"][name]["values"] == pytest.approx(of_class[name])
    macro = {seed: np.mean([of_class[name][seed] for name in CLASSES]) for seed in right}
    assert result["macro_accuracy"]["values"] == pytest.approx(macro)
    assert result["macro_between"][0] <= np.mean(list(macro.values())) <= result["macro_between"][1]
    assert result["classifiers"] == 2


def test_an_arm_goes_to_the_generator_whose_samples_it_was_trained_on(board):
    _, record, _ = board
    policy, literal = (record["methods"][f"rleo:{name}"]["downstream"] for name in ("policy", "literal"))
    assert list(policy["both"]["accuracy"]["values"]) == ["1"]
    assert "both" not in literal
    assert record["baseline"]["classifiers"] == 2


def test_rewards_are_compared_at_equal_seeds(board):
    _, record, page = board
    (fid,) = [row for row in record["rewards"] if row["metric"] == "fid"]
    values = {name: record["methods"][f"rleo:{name}"]["metrics"]["fid"]["seeds"] for name in ("policy", "literal")}
    assert fid["seeds"] == pytest.approx({seed: values["policy"][seed] - values["literal"][seed] for seed in "01"})
    assert "The effect of the guide&#39;s reward" in page


def test_the_page_draws_reward_similarity_and_the_balance_of_both_networks(board):
    _, _, page = board
    for title in ("Reward", "Similarity", "Gradient share"):
        assert re.search(rf"{title} by epoch of (literal, policy|policy, literal)\.", page)
    for name in NAMES:
        assert f"Balance of {name} by epoch: discriminator, generator, d_real, d_fake." in page


def test_the_page_has_every_part_and_loads_nothing(board):
    _, _, page = board
    for text in (
        "board",
        "reward",
        "downstream",
        "patches",
        "map",
        "distances",
        "labels",
        "paths",
        "collapse",
        "costs",
    ):
        assert f'<section id="{text}"' in page
    assert "http" not in page
    assert "FID during training" in page


def test_scores_alone_suffice_and_the_test_split_is_not_read(given, tmp_path):
    write_patches(tmp_path / "patches", {"train": 6, "val": 4})
    scores = given / "rleo_policy_s0" / "scores"
    shutil.copytree(scores, tmp_path / "scores")
    document = read_json(scores / "scores.json")
    document["digests"]["patches"] = PatchSet.open(tmp_path / "patches").digest
    write_sealed(tmp_path / "scores" / "scores.json", document, 1)
    summary, record = make(
        tmp_path, tmp_path, [tmp_path / "scores"], arms=[], baseline=None, patches=tmp_path / "patches"
    )
    assert summary.headline.startswith("Only one method, rleo:policy: FID")
    assert record["data"]["test_patches"] == 0


def test_what_does_not_compare_is_refused(given, tmp_path):
    scores = [given / f"rleo_policy_s{seed}" / "scores" for seed in (0, 1)]
    with pytest.raises(SettingsError, match="nothing to compare"):
        make(given, tmp_path, [])
    with pytest.raises(SettingsError, match="Two generators are called 'rleo:policy' with the seed 0"):
        make(given, tmp_path, [scores[0], scores[0]])
    with pytest.raises(SettingsError, match="was trained on synthetic patches of none of the generators here"):
        make(given, tmp_path, scores, arms=[given / "rleo_literal_s0" / "synthetic"])
    other = save_random_guide(tmp_path / "guide", ["x", "y"])
    with pytest.raises(ModelError, match="was trained on the classes x, y, and the patch set has .*: name the guide"):
        make(given, tmp_path, scores, arms=[], guide=other)
    for field, reason in (("patches", "with another patch set"), ("extractor", "with the extractor")):
        shutil.copytree(scores[1], tmp_path / field)
        document = read_json(scores[1] / "scores.json")
        document["digests"][field] = "0" * 64
        write_sealed(tmp_path / field / "scores.json", document, 1)
        with pytest.raises(ModelError, match=reason):
            make(given, tmp_path, [scores[0], tmp_path / field], arms=[])
    assert not (tmp_path / "page.html").exists()
