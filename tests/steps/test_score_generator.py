"""The step `score_generator`: what it writes, held against a computation of its own, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from scoring_parts import CLASSIFIER, SCORING, SIDE, train_arm, write_generator, write_patches
from tiny_encoders import write_encoder

from histoforge.classifiers.arms import load_arm, load_judge
from histoforge.classifiers.encoders.encoder import load_encoder
from histoforge.core.digests import digest_file
from histoforge.core.documents import read_json
from histoforge.core.errors import ModelError
from histoforge.core.seals import write_sealed
from histoforge.evaluation.generator_scores import read_scores
from histoforge.evaluation.leaderboard_entries import Scored, methods_map
from histoforge.evaluation.level_scoring import compared_images
from histoforge.generators.loading import LatentGenerator, load_generator
from histoforge.metrics.extract import extract_features
from histoforge.metrics.frechet import frechet_distance
from histoforge.metrics.table import METRICS
from histoforge.metrics.untrained import UNTRAINED
from histoforge.patches import PatchSet
from histoforge.steps import train_classifier
from histoforge.steps.evaluate import run as evaluate
from histoforge.steps.evaluate_config import EvaluateConfig
from histoforge.steps.score_generator import run
from histoforge.steps.score_generator_config import ScoreGeneratorConfig
from histoforge.steps.train_classifier_config import TrainClassifierConfig


def score(folder, out, **config):
    return run(
        ScoreGeneratorConfig.make({**SCORING, **config}),
        patches=folder / "patches",
        generator=folder / "generator",
        extractor=folder / "baseline",
        samples=out / "samples",
        scores=out / "scores",
    )


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    write_patches(folder / "patches")
    train_arm(folder / "baseline", folder / "patches", seeds=3)
    write_generator(folder / "generator", seed=3, history=b'{"epochs": []}')
    return folder


@pytest.fixture(scope="module")
def scored(given, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    return out, score(given, out), read_scores(out / "scores")


def test_the_samples_are_a_patch_set_in_the_shares_of_the_training_patches(scored):
    out, summary, _ = scored
    samples = PatchSet.open(out / "samples")
    assert samples.info.synthetic
    assert samples.counts.tolist() == [20, 20]
    assert samples.digest == read_scores(out / "scores").digests.samples
    assert set(samples.index["method"]) == {"histogan"}
    assert summary.count == 40


def test_the_scores_are_those_of_the_written_samples_and_of_the_second_seed(given, scored):
    out, summary, scores = scored
    second = load_arm(given / "baseline")[1]
    assert scores.judge == summary.judge == second.name
    assert scores.independent
    names = [*(each.name for each in load_arm(given / "baseline")), *UNTRAINED]
    for rows in (scores.generative, scores.held_out, scores.references["blurred real"], scores.extractor_checks):
        assert [row.extractor for row in rows] == names
    real = extract_features(second, PatchSet.open(given / "patches").split("train"))
    fake = extract_features(second, PatchSet.open(out / "samples"))
    n = 40
    assert (scores.judge_metrics.n_real, scores.judge_metrics.n_fake) == (n, n)
    rows = read_rows(out)
    np.testing.assert_allclose(rows["fake"], fake[:20], rtol=1e-5, atol=1e-6)
    order = np.array([np.abs(real - row).sum(1).argmin() for row in rows["real"]])
    np.testing.assert_allclose(real[order], rows["real"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(PatchSet.open(given / "patches").split("train").labels[order], rows["real_labels"])


def read_rows(out):
    with np.load(out / "scores" / "features.npz", allow_pickle=False) as file:
        return dict(file)


def test_the_labels_are_those_that_the_first_seed_finds(given, scored):
    out, _, scores = scored
    first = load_arm(given / "baseline")[0]
    samples = PatchSet.open(out / "samples")
    logits = extract_features(NamedLogits(first), samples)
    assert scores.labels.micro == pytest.approx((logits.argmax(1) == samples.labels).mean())
    assert scores.labels.classifier == first.name
    assert [row[1] for row in scores.labels.classes] == [20, 20]


def test_noise_of_an_untrained_generator_is_told_from_real_patches(scored):
    _, summary, scores = scored
    assert scores.realism.judge == scores.judge
    assert not scores.realism.judge_selected
    assert scores.realism.two_sample.auc > 0.95 > scores.realism.real_two_sample.auc
    assert scores.value(METRICS["told_from_real"]) == scores.realism.two_sample.auc
    assert any("The extractor" in warning for warning in summary.warnings) == any(
        not check.passed for check in scores.extractor_checks
    )


def test_copies_are_looked_for_within_each_class(given, scored):
    assert scored[2].memorisation.registered.n_compared == 30
    by_class = scored[2].memorisation.by_class
    held_out = PatchSet.open(given / "patches").split("val").counts
    assert [(each.name, each.n_synthetic, each.n_held_out) for each in by_class.cells] == [
        ("dark", 20, held_out[0]),
        ("light", 20, held_out[1]),
    ]


class NamedLogits:
    def __init__(self, classifier):
        self.name, self.features = "logits", classifier


def test_path_lengths_and_what_they_rest_on_are_there(scored):
    _, summary, scores = scored
    assert scores.paths.path_length > 0
    assert scores.paths.ppl > 0
    assert (scores.paths.steps, scores.paths.pairs) == (2, 6)
    assert summary.distance == f"squared distance of unit features, {scores.judge}"


def test_a_histogan_can_be_walked_and_draws_the_same_that_way(given):
    generator = load_generator(given / "generator", "cpu")
    assert isinstance(generator, LatentGenerator)
    labels = torch.tensor([0, 1, 1])
    points = generator.latents(labels, torch.Generator().manual_seed(1))
    drawn = generator.sample(labels, torch.Generator().manual_seed(1))
    torch.testing.assert_close(generator.decode(points, labels), drawn)


def besides_checks(warnings):
    """Return the warnings that do not come from the check of the extractors, which noise as real patches fails."""
    return [text for text in warnings if not text.startswith("The extractor resnet10") and "Its distances" not in text]


def test_too_few_real_patches_are_said(scored, given, tmp_path):
    _, _, scores = scored
    assert besides_checks(scores.warnings) == []
    score(given, tmp_path, count=100, path_pairs=0)
    capped = read_scores(tmp_path / "scores")
    assert (capped.judge_metrics.n_real, capped.judge_metrics.n_fake, capped.drawing.count) == (60, 60, 100)
    judge = load_arm(given / "baseline")[1]
    fake = extract_features(judge, PatchSet.open(tmp_path / "samples"))[:60]
    real = extract_features(judge, PatchSet.open(given / "patches").split("train"))
    assert capped.judge_metrics.fid == pytest.approx(frechet_distance(real, fake), rel=1e-4)
    assert besides_checks(capped.warnings) == [
        "There are 60 training patches, fewer than count (100): generative metrics compare 60 synthetic with 60 real "
        "patches."
    ]
    assert "few" in capped.judge_metrics.note
    assert (capped.paths, capped.paths_note) == (None, "path_pairs is below 2")


def test_the_same_seed_gives_the_same_scores(given, scored, tmp_path):
    again = score(given, tmp_path)
    each, other = (
        folder.model_dump(exclude={"seconds", "seconds_per_thousand", "peak_memory_mb"})
        for folder in (scored[1], again)
    )
    assert each == other


def test_pictures_history_and_costs_are_kept(scored):
    out, _, scores = scored
    with Image.open(out / "scores" / "pictures" / "grid.png") as picture:
        assert picture.width > 8 * SIDE
    assert read_json(out / "scores" / "history.json") == {"epochs": []}
    assert (scores.training_seconds, scores.training_steps, scores.parameters) == (12.5, 40, {"generator": 7})
    assert scores.seed == 3
    assert scores.name == "histogan"
    assert scores.drawing.seconds_per_thousand > 0
    assert scores.drawing.memory_of == "process"


def test_one_classifier_alone_is_said_to_flatter(given, tmp_path):
    run(
        ScoreGeneratorConfig.make({**SCORING, "labels": "balanced", "count": 11, "path_pairs": 0, "name": "x:y"}),
        patches=given / "patches",
        generator=given / "generator",
        extractor=given / "baseline" / "seed-0",
        samples=tmp_path / "samples",
        scores=tmp_path / "scores",
    )
    scores = read_scores(tmp_path / "scores")
    assert scores.name == "x:y"
    assert list(scores.drawing.by_class.values()) == [6, 5]
    assert any("no second seed and no judge of another architecture" in text for text in scores.warnings)


def test_scores_of_version_1_are_read(scored, tmp_path):
    out, _, scores = scored
    later = {"references", "extractor_checks", "realism", "schema_version", "digest"}
    document = {name: value for name, value in read_json(out / "scores" / "scores.json").items() if name not in later}
    write_sealed(tmp_path / "scores.json", document, 1)
    former = read_scores(tmp_path)
    assert former.generative == scores.generative
    assert (former.realism, former.extractor_checks, former.references) == (None, [], {})
    assert former.value(METRICS["told_from_real"]) is None


def test_changed_scores_are_refused(scored, tmp_path):
    out, _, scores = scored
    assert scores.features == digest_file(out / "scores" / "features.npz")
    changed = tmp_path / "scores"
    shutil.copytree(out / "scores", changed)
    document = json.loads((changed / "scores.json").read_text())
    (changed / "scores.json").write_text(json.dumps({**document, "training_steps": 1}))
    with pytest.raises(ModelError, match=r"scores\.json was changed after it was written"):
        read_scores(changed)
    shutil.copy(out / "scores" / "scores.json", changed)
    np.savez(changed / "features.npz", real=np.zeros((9, 2)), fake=np.zeros((9, 2)))
    with pytest.raises(ModelError, match=r"features\.npz is not the one that was written with the scores"):
        methods_map([Scored(changed, read_scores(changed))], [], 20, 0)


def test_what_does_not_belong_together_is_refused(given, tmp_path):
    write_patches(tmp_path / "patches", classes=["dark", "bright"])
    (tmp_path / "generator").symlink_to(given / "generator")
    with pytest.raises(ModelError, match=r"draws the classes dark, light, and the patch set has dark, bright"):
        score(tmp_path, tmp_path)
    with pytest.raises(ModelError, match=r"There is no weights file .*none\.pth"):
        score(given, tmp_path, lpips_weights=str(tmp_path / "none.pth"))
    (tmp_path / "vgg.pth").write_bytes(b"x")
    with pytest.raises(ModelError, match="has the SHA-256"):
        score(given, tmp_path, lpips_weights=str(tmp_path / "vgg.pth"), lpips_sha256="0" * 64)
    assert not (tmp_path / "samples").exists()
    with pytest.raises(ModelError, match=r"holds no scores .*scores\.json"):
        read_scores(given / "generator")


def test_a_classifier_of_another_architecture_is_the_one_to_believe(given, tmp_path):
    config = TrainClassifierConfig.make({**CLASSIFIER, "seeds": 2, "epochs": 1, "judge_backbone": "resnet18"})
    train_classifier.run(config, patches=given / "patches", model=tmp_path / "arm")
    run(
        ScoreGeneratorConfig.make({**SCORING, "path_pairs": 0}),
        patches=given / "patches",
        generator=given / "generator",
        extractor=tmp_path / "arm",
        samples=tmp_path / "samples",
        scores=tmp_path / "scores",
    )
    scores = read_scores(tmp_path / "scores")
    assert scores.judge == load_judge(tmp_path / "arm").name
    assert scores.other_architecture
    assert len(scores.generative) == 5
    study, settings = EvaluateConfig.make({"device": "cpu", "resamples": 200, "map_patches": 20}), tmp_path / "m.json"
    evaluate(
        study,
        patches=given / "patches",
        arms=[tmp_path / "arm"],
        selected=tmp_path / "samples",
        report=tmp_path / "report.html",
        metrics=settings,
    )
    metrics = json.loads(settings.read_text())
    assert metrics["memorisation"]["extractor"] == scores.judge
    assert "independent" not in (tmp_path / "report.html").read_text()


def test_an_encoder_adds_a_space_to_every_metric(given, tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOFORGE_CACHE", str(tmp_path / "cache"))
    file = str(write_encoder(tmp_path))
    score(given, tmp_path, encoders=[file], precision="float32", generations=2)
    scores, encoder = read_scores(tmp_path / "scores"), load_encoder(file)
    real = compared_images(PatchSet.open(given / "patches"), 0, 10_000).where(np.arange(40))
    fid = frechet_distance(*(extract_features(encoder, each) for each in (real, PatchSet.open(tmp_path / "samples"))))
    row = next(row for row in scores.generative if row.extractor == encoder.name)
    assert (row.n_real, row.n_fake, row.dimensions) == (40, 40, 64)
    assert row.fid == pytest.approx(fid, rel=1e-3)
    for rows in (scores.held_out, scores.references["blurred real"], scores.extractor_checks, scores.levels):
        assert encoder.name in [each.extractor for each in rows]
