"""Synthetic patches, and generators, of any origin: scored, and on a leaderboard beside others."""

import json

import numpy as np
import pytest
from scoring_parts import CLASSES, SCORING, SIDE, train_arm, write_generator, write_patches

from histoforge import __version__
from histoforge.core.errors import PatchSetError
from histoforge.evaluation.fixed_sets import FixedSet
from histoforge.evaluation.generator_scores import read_scores
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.steps import import_generator, leaderboard, score_generator
from histoforge.steps.import_generator_config import ImportGeneratorConfig
from histoforge.steps.leaderboard_config import LeaderboardConfig
from histoforge.steps.score_generator_config import ScoreGeneratorConfig
from histoforge.training.model_files import read_model_info

ORIGIN = {"name": "vendor", "origin": "a diffusion model of a vendor", "licence": "CC0-1.0"}


def write_set(path, counts=(30, 30), classes=CLASSES, synthetic=True):
    """Write patches of noise."""
    rng = np.random.default_rng(1)
    with PatchSetWriter.create(path, classes, (SIDE, SIDE), mpp=1.0, synthetic=synthetic) as writer:
        for label, count in enumerate(counts):
            pixels = rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
            real = {} if synthetic else {"patient": "p", "slide": "s", "split": "train"}
            writer.add(pixels, label=label, **real)
        config = {"source": "s3://vendor/tiles"}
        writer.finish({"step": "import_patches", "origin": ORIGIN, "config": config, "codecs": {"PNG": sum(counts)}})
    return path


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    write_patches(folder / "patches")
    train_arm(folder / "baseline", folder / "patches")
    write_generator(folder / "own")
    write_set(folder / "vendor")
    stated = {"source": str(folder / "own"), "name": "copied", "licence": "CC-BY-4.0", "device": "cpu"}
    config = ImportGeneratorConfig.make(stated)
    import_generator.run(config, patches=folder / "patches", generator=folder / "copied")
    for name in ("own", "vendor", "copied"):
        score(folder, name)
    return folder


def score(parts, name, out=None, **values):
    out = parts / "scored" / name if out is None else out
    score_generator.run(
        ScoreGeneratorConfig.make({**SCORING, "generations": 2, **values}),
        patches=parts / "patches",
        generator=parts / name,
        extractor=parts / "baseline",
        samples=out / "samples",
        scores=out / "scores",
    )
    return out


def test_the_patches_are_those_of_the_set_and_none_is_there_twice(parts):
    samples = PatchSet.open(parts / "scored" / "vendor" / "samples")
    given = PatchSet.open(parts / "vendor")
    of_set = {image.tobytes(): label for image, label in zip(given.images(slice(None)), given.labels, strict=True)}
    chosen = [image.tobytes() for image in samples.images(slice(None))]
    assert len(set(chosen)) == len(chosen) == 40
    assert [of_set[image] for image in chosen] == samples.labels.tolist()


def test_what_a_generator_alone_has_is_left_empty(parts):
    scores = read_scores(parts / "scored" / "vendor" / "scores")
    assert (scores.name, scores.method) == ("vendor", "patch set")
    assert scores.origin == {**ORIGIN, "source": "s3://vendor/tiles"}
    assert scores.digests.generator == PatchSet.open(parts / "vendor").digest
    assert scores.paths is None
    assert scores.paths_note == "patch set has no latent space to walk"
    assert (scores.drawing.seconds_per_thousand, scores.drawing.peak_memory_mb) == (None, None)
    assert scores.judge_metrics.fid > 0
    own = read_scores(parts / "scored" / "own" / "scores")
    assert own.origin == {}
    assert [each.levels[0].draws for each in (scores, own)] == [1, 2]


def test_a_copied_generator_keeps_its_digest_and_has_an_origin(parts):
    copied, own = (read_scores(parts / "scored" / name / "scores") for name in ("copied", "own"))
    maker = f"histoforge {__version__}, method histogan"
    source = str(parts / "own")
    assert copied.origin == {"name": "copied", "origin": maker, "licence": "CC-BY-4.0", "source": source}
    assert (copied.digests.generator, copied.judge_metrics) == (own.digests.generator, own.judge_metrics)


def test_a_leaderboard_shows_all_and_where_the_set_comes_from(parts, tmp_path):
    summary = leaderboard.run(
        LeaderboardConfig.make({"device": "cpu", "map_patches": 20}),
        patches=parts / "patches",
        scores=[parts / "scored" / name / "scores" for name in ("vendor", "own", "copied")],
        report=tmp_path / "page.html",
        metrics=tmp_path / "page.json",
    )
    assert set(summary.methods) == {"vendor", "histogan", "copied"}
    assert "seconds_per_thousand" not in summary.means["vendor"]
    assert "seconds_per_thousand" in summary.means["histogan"]
    made_elsewhere = next(line for line in summary.answer if line.startswith("Made elsewhere"))
    assert all(name in made_elsewhere for name in ("vendor", "copied"))
    assert not any("different seeds" in text or "different devices" in text for text in summary.warnings)
    assert any("JPEG of median quality 90, those of vendor PNG" in text for text in summary.warnings)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    digests = [PatchSet.open(parts / "vendor").digest[:12], read_model_info(parts / "own").digest[:12]]
    stated = ("a diffusion model of a vendor", "CC0-1.0", "s3://vendor/tiles", "CC-BY-4.0", *digests)
    for text in (*stated, "fixed set", "generator (histogan)", "made elsewhere"):
        assert text in page
    record = json.loads((tmp_path / "page.json").read_text())
    assert record["methods"]["vendor"]["runs"][0]["origin"]["licence"] == "CC0-1.0"


def test_classes_keep_their_shares_where_a_class_is_rare(parts, tmp_path):
    train = PatchSet.open(parts / "patches").split("train")
    fixed = FixedSet(PatchSet.open(write_set(tmp_path / "rare", (30, 7))))
    chosen, drawing = fixed.choose(train, 40, balanced=True, seed=0)
    assert chosen.counts.tolist() == [7, 7]
    assert drawing.by_class == {"dark": 7, "light": 7}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"counts": (30, 3)}, "fewer than 10 can be chosen in the shares of the classes"),
        ({"classes": ["light", "dark"]}, "have the classes light, dark, and the patch set has dark, light"),
        ({"synthetic": False}, "holds real patches"),
    ],
)
def test_a_set_that_does_not_fit_is_refused(parts, tmp_path, values, sentence):
    write_set(parts / tmp_path.name, **values)
    with pytest.raises(PatchSetError, match=sentence):
        score(parts, tmp_path.name, tmp_path)
    assert not list(tmp_path.iterdir())
