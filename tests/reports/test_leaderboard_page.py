"""The leaderboard's page: complete, self-contained, readable on a phone and in print."""

import dataclasses
import json

import pytest
from html_pages import Outline, measure, needs_browser, print_pages
from made_up_scores import CLASSES, FAR, make_entry, make_leaderboard, make_scores

from histoforge.evaluation.leaderboard_file import AnswerRecord, leaderboard_results
from histoforge.metrics.table import METRICS
from histoforge.reports.layout.page import render, write_page
from histoforge.reports.leaderboard_page import build_leaderboard_page
from histoforge.reports.sections.distances import distances_section
from histoforge.reports.text.leaderboard_answer import leaderboard_answer
from histoforge.reports.text.markdown import leaderboard_markdown


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    return make_leaderboard(folder=tmp_path_factory.mktemp("pictures"))


def page_of(findings) -> str:
    return render(build_leaderboard_page(findings, leaderboard_answer(findings)))


@pytest.fixture(scope="module")
def html(findings):
    return page_of(findings)


def test_table_iv_is_described_as_what_it_measures(html):
    text = Outline(html).text
    assert "Micro P = R = F1" in text
    assert "a generator that draws one perfect patch per class scores 1" in text


def test_every_metric_is_described_as_registered(html):
    text = Outline(html).text
    for metric in METRICS.values():
        if metric.main or metric.compute:
            assert metric.description in text
    assert "A difference below zero is an improvement in 'FID' and 'KID x 1000'." in text
    assert "Neither direction is better in 'PPL'." in text


def test_methods_without_a_latent_space_are_named():
    entries = [make_entry("dcgan", 1.0), make_entry("ddpm", 0.2, walked=False)]
    findings = dataclasses.replace(make_leaderboard({"dcgan": 1.0}), entries=entries)
    assert "ddpm: ddpm has no latent space to walk." in Outline(page_of(findings)).text


def test_a_method_scored_with_fewer_extractors_has_no_values_for_the_others():
    findings = make_leaderboard({"dcgan": 1.0, "lsgan": 1.2})
    lsgan = findings.entries[1]
    judge_only = [scores.model_copy(update={"generative": [scores.judge_metrics]}) for scores in lsgan.scores]
    entries = [findings.entries[0], dataclasses.replace(lsgan, scores=judge_only)]
    tables = distances_section(dataclasses.replace(findings, entries=entries)).blocks
    assert [cell.text for cell in tables[0].rows[1][:3]] == ["lsgan", "n/a", "n/a"]
    assert [cell.text for cell in tables[1].rows[1][:2]] == ["lsgan", "60"]


def test_the_page_is_complete_and_self_contained(html):
    outline = Outline(html)
    assert not outline.open
    assert "http:" not in html
    assert "https:" not in html
    sections = [a["id"] for a in outline.all("section")]
    assert sections == [
        "board",
        "reward",
        "downstream",
        "patches",
        "map",
        "distances",
        "labels",
        "paths",
        "collapse",
        "memorisation",
        "training",
        "guide",
        "costs",
        "settings",
    ]
    links = [a.get("href") for a in outline.all("a")]
    assert all(f"#{section}" in links for section in sections)
    assert all(image.get("alt") for image in outline.all("img"))
    assert len(html) < 3_000_000


def test_sections_without_data_are_left_out():
    findings = make_leaderboard({"dcgan": 1.0, "lsgan": 1.2})
    entries = [dataclasses.replace(entry, downstream={}, curves={}, picture=None) for entry in findings.entries]
    bare = dataclasses.replace(findings, baseline=None, map=None, guide=None, entries=entries)
    outline = Outline(page_of(bare))
    sections = {a["id"] for a in outline.all("section")}
    assert sections == {"board", "distances", "labels", "paths", "collapse", "memorisation", "costs", "settings"}
    assert "Accuracy, synthetic" not in outline.text


def test_a_single_method_has_a_page():
    assert "Only one method, dcgan" in Outline(page_of(make_leaderboard({"dcgan": 1.0}))).text


def test_the_record_contains_every_seed_and_is_json(findings):
    record = json.loads(
        json.dumps(
            leaderboard_results(findings, AnswerRecord(**vars(leaderboard_answer(findings)))).as_json(), allow_nan=False
        )
    )
    fid = record["methods"]["rleo:policy"]["metrics"]["fid"]
    assert fid["n"] == 3
    assert fid["seeds"]["2"] == pytest.approx(findings.entries[0].scores[2].judge_metrics.fid)
    assert len(record["methods"]["dcgan"]["runs"]) == 3
    assert {(row["reward"], row["against"]) for row in record["rewards"]} == {
        ("policy", "literal"),
        ("soft_target", "literal"),
    }


def test_the_markdown_has_one_row_per_method(findings):
    answer = leaderboard_answer(findings)
    text = leaderboard_markdown(findings, answer)
    assert all(f"| {name} | 3 |" in text for name in FAR)
    assert text.startswith(f"## {answer.headline}")


def test_names_are_escaped():
    outline = Outline(page_of(make_leaderboard({"<script>alert(1)</script>": 1.0, "dcgan": 1.2})))
    assert not outline.all("script")
    assert "<script>alert(1)</script>" in outline.text


def test_scores_survive_json():
    scores = make_scores("rleo:policy", 1)
    assert type(scores).model_validate_json(scores.model_dump_json()) == scores
    assert scores.judge_metrics.extractor == scores.judge
    assert scores.classes == CLASSES


@needs_browser
def test_it_fits_a_phone_and_a_desktop_and_prints(findings, tmp_path):
    write_page(tmp_path / "leaderboard.html", build_leaderboard_page(findings, leaderboard_answer(findings)))
    frames = measure([tmp_path / "leaderboard.html"], (320, 390, 1200), tmp_path)
    assert all(frame["scroll"] <= int(frame["width"]) for frame in frames)
    assert all(frame["loaded"] for frame in frames)
    assert [frame["cut_texts"] for frame in frames] == [[], [], []]
    assert 4 <= print_pages(tmp_path / "leaderboard.html", tmp_path) <= 40
