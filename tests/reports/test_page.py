"""The report is self-contained, leaves out empty sections, and can be read without seeing its pictures."""

import dataclasses
import re

import pytest
from html_pages import Outline
from made_up import CLASSES, make_findings, make_study

from histoforge.reports.layout.page import render
from histoforge.reports.study_page import build_study_page
from histoforge.reports.text.caveats import study_caveats
from histoforge.reports.text.study_answer import study_answer

SKILLS = {"baseline": 0.5, "traditional": 0.7, "gan": 0.8, "single_filter": 0.9, "selective": 1.2}


def page_of(findings) -> str:
    answer = study_answer(findings.study, 480, 12, study_caveats(findings))
    return render(build_study_page(findings, answer))


def bare(study):
    """Findings of a study alone."""
    return dataclasses.replace(
        make_findings(study),
        pool=None,
        generative=(),
        projection=None,
        audit=None,
        pairs=(),
        samples={},
        curves={},
        settings=(),
        provenance=(),
    )


@pytest.fixture(scope="module")
def findings():
    return make_findings(make_study(SKILLS))


def test_caveats_stand_in_the_box_of_the_headline(findings):
    html = page_of(dataclasses.replace(findings, caveats=["Mind the <gap>."]))
    box = html[html.index('<div class="answer') : html.index("</div>", html.index('<div class="answer'))]
    assert "<li>Mind the &lt;gap&gt;.</li>" in box


@pytest.fixture(scope="module")
def html(findings) -> str:
    return page_of(findings)


def test_nothing_is_loaded_from_anywhere(html):
    outline = Outline(html)
    assert not outline.open
    assert "http:" not in html
    assert "https:" not in html
    addresses = [a.get("src") or a.get("href") for _, a in outline.tags if a.get("src") or a.get("href")]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert not outline.all("script")


def test_every_anchor_has_its_target_and_ids_are_unique(html):
    tags = Outline(html).tags
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for _, a in tags if (a.get("href") or "").startswith("#")]
    targets += re.findall(r"url\(#([^)]+)\)", html)
    assert targets
    assert set(targets) <= set(ids)


def test_the_contents_name_every_section(html):
    outline = Outline(html)
    sections = [a["id"] for a in outline.all("section")]
    links = [a["href"] for a in outline.all("a")]
    assert {"study", "classes", "calibration", "patients", "patches", "selection", "generator", "memorisation"} <= set(
        sections
    )
    assert all(f"#{section}" in links for section in sections)


def test_pictures_and_drawings_are_described(html):
    outline = Outline(html)
    assert len(outline.all("img")) >= 21
    assert all(image.get("alt") for image in outline.all("img"))
    drawings = [a for a in outline.all("div") if a.get("role") == "img"]
    assert len(drawings) == len(outline.all("svg")) >= 10
    assert all(a.get("aria-label") for a in drawings)


def test_tables_have_captions_and_scopes(html):
    outline = Outline(html)
    assert len(outline.all("table")) == len(outline.all("caption"))
    assert all(a.get("scope") in ("row", "col") for a in outline.all("th"))


def test_the_answer_comes_first(html, findings):
    text = Outline(html).text
    assert text.index(study_answer(findings.study, 480, 12).headline) < text.index("The arms compared")


def test_the_study_table_contains_mean_deviation_and_interval(html, findings):
    score = findings.study.arm("selective").scores["auc"]
    assert f"{score.mean:.3f}\u00a0±\u00a0{score.deviation:.3f}" in html
    assert f"[{score.low:.3f}, {score.high:.3f}]" in html


def test_names_are_escaped():
    classes = ["<script>alert(1)</script>", 'b"&<b>']
    study = make_study(
        {"baseline": 0.5, "selective": 1.0}, classes=classes, names=["<img src=x onerror=alert(1)>"] * 12
    )
    html = page_of(make_findings(study, classes))
    outline = Outline(html)
    assert not outline.all("script")
    assert all(image["src"].startswith("data:") for image in outline.all("img"))
    assert classes[0] in outline.text
    assert "<img src=x onerror=alert(1)>" in outline.text


def test_sections_without_data_are_left_out():
    study = make_study({"baseline": 0.5}, seeds=1)
    outline = Outline(page_of(bare(study)))
    sections = {a["id"] for a in outline.all("section")}
    assert sections == {"study", "classes", "calibration", "patients", "data", "training"}
    assert {a["href"] for a in outline.all("a")} == {"#answer", *(f"#{section}" for section in sections)}


def test_a_study_of_ratios_and_pools_has_one_line_per_pool_and_few_curves():
    skills = {"baseline": 0.5} | {f"selective_r{r}_pool{p}n": 0.6 for p in (2, 4) for r in ("0_4", "0_5", "1")}
    study = make_study(skills, seeds=2)
    assert study.arm("selective_r0_4_pool2n").factors == {"kind": "selective", "ratio": 0.4, "pool": 2.0}
    outline = Outline(page_of(bare(study)))
    assert "factors" in {a["id"] for a in outline.all("section")}
    assert "pool 2 N" in outline.text
    assert "leading arms of 7" in outline.text


def test_arms_of_a_training_fraction_are_compared_with_their_own_baseline():
    study = make_study({"baseline": 2.0, "baseline_10pct": 0.2, "selective_10pct": 1.0, "selective_20pct": 1.5})
    assert study.difference("selective_10pct", "accuracy").against == "baseline_10pct"
    assert study.difference("selective_10pct", "accuracy").overall.difference > 0
    assert study.difference("selective_10pct", "accuracy", "baseline") is None
    assert study.difference("baseline_10pct", "accuracy") is None
    assert study.reference_of(study.arm("selective_20pct")) == "baseline"
    assert "Fraction of the training patches" in Outline(page_of(bare(study))).text


def test_three_classes_and_a_class_without_test_patches():
    classes = ["a", "b", "c"]
    html = page_of(make_findings(make_study(SKILLS, classes=classes, patches=30), classes))
    assert "macro mean over 3 classes" in html
    assert all(f">{name}</th>" in html for name in classes)


def test_a_page_is_the_same_each_time(findings, html):
    assert page_of(findings) == html
    assert CLASSES[0] in html


def test_a_model_per_class_has_curves_per_class(findings):
    epochs = [1.0, 2.0, 3.0]
    curves = {
        f"{name}: {series}": (epochs, [0.9, 0.6, 0.5])
        for name in findings.classes
        for series in ("fid", "fid_smoothed", "generator", "d_real", "d_fake")
    }
    chosen = dict.fromkeys(findings.classes, 3)
    page = Outline(page_of(dataclasses.replace(findings, curves=curves, chosen_epochs=chosen)))
    labels = " ".join(attributes.get("aria-label") or "" for attributes in page.all("div"))
    for name in findings.classes:
        for title in ("FID of the generator", "Losses of the generator's training", "Mean output of the discriminator"):
            assert f"{title} of class {name}" in labels
