"""The leaderboard: what its first lines say and do not say, and a page that holds on a phone and in print."""

import dataclasses
import json
import re
import shutil

import pytest
from made_up_scores import CLASSES, FAR, make_entry, make_leaderboard, make_scores
from test_browser import SEEN, browse
from test_page import Outline

from histoforge.evaluation.leaderboard_findings import METRICS, Spread
from histoforge.metrics.compare import sample_std
from histoforge.reports.layout.page import render, write_page
from histoforge.reports.leaderboard_page import build_leaderboard
from histoforge.reports.leaderboard_record import as_markdown, as_record
from histoforge.reports.text.leaderboard_answer import answer, overlap, paired_text

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return make_leaderboard(folder=tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def html(found):
    return render(build_leaderboard(found, answer(found)))


def test_the_headline_names_the_best_with_its_deviation(found):
    fid = METRICS["fid"].spread(found.entries[0])
    values = [one.judge_metrics.fid for one in found.entries[0].scores]
    assert found.entries[0].name == "rleo:policy"
    assert fid.std == pytest.approx(sample_std(values))
    text = answer(found).headline
    assert text.startswith(f"rleo:policy has the lowest FID ({fid.mean:.2f}\u00a0±\u00a0{fid.std:.2f})")
    assert "the most accurate classifiers from synthetic patches alone" in text


def test_few_seeds_and_overlaps_are_said(found):
    few = make_leaderboard({"dcgan": 1.0, "lsgan": 1.1}, seeds=2)
    assert answer(few).verdict == "too_few"
    assert any("So few seeds cannot tell methods apart" in line for line in answer(few).lines)
    assert any("FID" in line and "within their deviations" in line for line in answer(found).lines)
    assert any("no test is made between methods" in line for line in answer(found).lines)
    assert overlap(Spread(1.0, 0.3, {}), Spread(1.5, 0.3, {}))
    assert not overlap(Spread(1.0, 0.1, {}), Spread(1.5, 0.1, {}))


def test_a_draw_has_no_winner():
    found = make_leaderboard({"dcgan": 1.0, "lsgan": 1.1})
    same = METRICS["label_f1"]
    assert found.best(same).name == "dcgan"
    drawn = dataclasses.replace(same, spread=lambda one: Spread(0.90001 if one.name == "dcgan" else 0.9, None, {}))
    assert found.best(drawn) is None
    assert found.best(METRICS["ppl"]) is None


def test_a_single_method_is_compared_with_nothing():
    alone = make_leaderboard({"dcgan": 1.0})
    assert answer(alone).headline.startswith("One method only, dcgan: FID ")
    assert answer(alone).verdict == "no_comparison"
    assert render(build_leaderboard(alone, answer(alone)))


def test_rewards_are_paired_by_seed_with_the_control(found):
    literal, policy = (next(one for one in found.entries if one.name == f"rleo:{name}") for name in (
        "literal", "policy"
    ))  # fmt: skip
    pair = next(one for one in found.paired("fid") if one.reward == "policy")
    expected = {
        seed: policy.scores[seed].judge_metrics.fid - literal.scores[seed].judge_metrics.fid for seed in range(3)
    }
    assert pair.differences.values == pytest.approx(expected)
    assert pair.differences.std == pytest.approx(sample_std(list(expected.values())))
    assert {one.reward for one in found.paired("fid")} == {"policy", "soft_target"}
    assert "rleo:literal and improved_dcgan have the same weights, bit for bit, at seed 0, 1, 2." in answer(found).lines
    line = next(line for line in answer(found).lines if line.startswith("RL-EO's reward"))
    assert "cannot change a gradient" in line
    assert paired_text(pair) in line


def test_what_other_extractors_see_of_a_reward_is_said(found):
    [(extractor, pairs)] = found.paired_by_extractor().items()
    assert extractor.startswith("resnet18 (baseline, seed 0)")
    assert [one.differences for one in pairs] == [one.differences for one in found.paired("fid")]
    assert extractor in by_others(found)
    assert "no effect is shown" not in by_others(found)

    def against(one):
        return dataclasses.replace(one, scores=[contradicted(scores) for scores in one.scores])

    entries = [against(one) if one.reward == "policy" else one for one in found.entries]
    contrary = by_others(dataclasses.replace(found, entries=entries))
    assert "The sign of policy depends on the extractor or the seed: no effect is shown." in contrary


def by_others(found):
    """The line of the answer that tells of other extractors."""
    return next(line for line in answer(found).lines if line.startswith("The same by the features of other"))


def contradicted(scores):
    """The same scores, but that the extractor which is not to be believed finds the patches very far."""
    other = next(row for row in scores.generative if row.extractor != scores.judge)
    return scores.model_copy(update={"generative": [other.model_copy(update={"fid": 1e6}), scores.judge_metrics]})


def test_rewards_are_compared_at_the_seeds_that_both_have():
    found = make_leaderboard({"rleo:literal": 0.7, "rleo:policy": 0.6})
    entries = [
        dataclasses.replace(one, scores=one.scores[1:] if one.reward == "literal" else one.scores[:2])
        for one in found.entries
    ]
    pair = dataclasses.replace(found, entries=entries).paired("fid")[0]
    assert list(pair.differences.values) == [1]
    assert "one seed tells nothing" in paired_text(pair)


def test_without_the_control_nothing_is_claimed_of_the_reward():
    found = make_leaderboard({"rleo:policy": 0.6, "dcgan": 1.0})
    assert found.paired("fid") == []
    assert any("There is no 'literal' reward here" in line for line in answer(found).lines)


def test_signs_that_differ_are_said():
    pair = make_leaderboard({"rleo:literal": 0.7, "rleo:policy": 0.6}).paired("fid")[0]
    mixed = dataclasses.replace(pair, differences=Spread.of({0: 1.0, 1: -1.0}))
    assert paired_text(mixed) == "+0 on average, at seed 0 +1, at seed 1 -1 (the signs differ)"
    same = dataclasses.replace(pair, differences=Spread.of({0: -0.001, 1: -0.002}))
    assert paired_text(same).endswith("at seed 0 -0.001, at seed 1 -0.002 (the same sign at all 2)")
    nothing = dataclasses.replace(pair, differences=Spread.of({0: 0.0, 1: 0.0}))
    assert paired_text(nothing).endswith("(no difference at all)")


def test_collapse_and_methods_without_a_latent_space_are_named():
    entries = [make_entry("dcgan", 1.0, spread=0.01), make_entry("ddpm", 0.2, walked=False)]
    found = dataclasses.replace(make_leaderboard({"dcgan": 1.0}), entries=entries)
    signs = "Signs of mode collapse (little spread, or few distinct neighbours): dcgan (benign, invasive)."
    assert signs in answer(found).lines
    text = Outline(render(build_leaderboard(found, answer(found)))).text
    assert "ddpm: ddpm has no latent space to walk." in text


def test_table_iv_is_called_what_it_is(html):
    text = Outline(html).text
    assert "Micro P = R = F1" in text
    assert "a generator that draws one perfect patch a class scores 1" in text


def test_the_page_is_whole_and_loads_nothing(html):
    outline = Outline(html)
    assert not outline.open
    assert "http:" not in html
    assert "https:" not in html
    sections = [a["id"] for a in outline.all("section")]
    assert sections == [
        "board", "reward", "downstream", "patches", "map", "distances", "labels", "paths", "collapse", "memorisation",
        "training", "guide", "costs", "settings",
    ]  # fmt: skip
    links = [a.get("href") for a in outline.all("a")]
    assert all(f"#{one}" in links for one in sections)
    assert all(image.get("alt") for image in outline.all("img"))
    assert len(html) < 3_000_000


def test_what_is_not_there_is_left_out():
    found = make_leaderboard({"dcgan": 1.0, "lsgan": 1.2})
    bare = dataclasses.replace(
        found, baseline=None, map=None, guide=None,
        entries=[dataclasses.replace(one, downstream={}, curves={}, picture=None) for one in found.entries],
    )  # fmt: skip
    outline = Outline(render(build_leaderboard(bare, answer(bare))))
    sections = {a["id"] for a in outline.all("section")}
    assert sections == {"board", "distances", "labels", "paths", "collapse", "memorisation", "costs", "settings"}
    assert "Accuracy, synthetic" not in outline.text


def test_the_record_holds_every_seed_and_is_json(found):
    record = json.loads(json.dumps(as_record(found, answer(found)), allow_nan=False))
    own = record["methods"]["rleo:policy"]["metrics"]["fid"]
    assert own["n"] == 3
    assert own["seeds"]["2"] == pytest.approx(found.entries[0].scores[2].judge_metrics.fid)
    assert len(record["methods"]["dcgan"]["runs"]) == 3
    assert {(row["reward"], row["against"]) for row in record["rewards"]} == {
        ("policy", "literal"), ("soft_target", "literal"),
    }  # fmt: skip


def test_the_markdown_has_a_row_a_method(found):
    text = as_markdown(found, answer(found))
    assert all(f"| {name} | 3 |" in text for name in FAR)
    assert text.startswith(f"## {answer(found).headline}")


def test_names_are_shown_and_never_run():
    found = make_leaderboard({"<script>alert(1)</script>": 1.0, "dcgan": 1.2})
    outline = Outline(render(build_leaderboard(found, answer(found))))
    assert not outline.all("script")
    assert "<script>alert(1)</script>" in outline.text


def test_scores_survive_json():
    scores = make_scores("rleo:policy", 1)
    assert type(scores).model_validate_json(scores.model_dump_json()) == scores
    assert scores.judge_metrics.extractor == scores.judge
    assert scores.classes == CLASSES


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here (Debian's package is 'chromium')")
def test_it_fits_a_phone_and_a_desk_and_prints(found, tmp_path):
    write_page(tmp_path / "leaderboard.html", build_leaderboard(found, answer(found)))
    address = (tmp_path / "leaderboard.html").as_uri()
    frames = [f'<iframe src="{address}" width="{width}" height="900"></iframe>' for width in (320, 390, 1200)]
    (tmp_path / "seen.html").write_text(SEEN.replace("FRAMES", "".join(frames)))
    result = browse(tmp_path, "--virtual-time-budget=10000", "--dump-dom", (tmp_path / "seen.html").as_uri())
    seen = json.loads(re.search(r"<pre>(.*)</pre>", result.stdout)[1])
    assert all(one["scroll"] <= int(one["width"]) for one in seen)
    assert all(one["loaded"] for one in seen)
    assert "CONSOLE" not in result.stderr
    browse(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'page.pdf'}", address)
    assert 4 <= (tmp_path / "page.pdf").read_bytes().count(b"/Type /Page\n") <= 40
