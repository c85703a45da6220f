"""The report in a real browser: it fits a phone and a desktop, writes nothing to the console, and prints."""

import dataclasses
from pathlib import Path

import pytest
from html_pages import measure, needs_browser, print_pages
from made_up import make_findings, make_study
from made_up_images import make_large_images
from PIL import Image

from histoforge.evaluation.findings import PictureFile
from histoforge.reports.layout.page import write_page
from histoforge.reports.study_page import build_study_page
from histoforge.reports.text.study_answer import study_answer

pytestmark = needs_browser


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    arms = {"baseline": 0.5, "an_arm_with_a_rather_long_name_of_40_chars": 1.0, "selective": 1.2}
    findings = make_findings(make_study(arms, names=[f"TCGA-AA-{i:04d}-with-a-long-name" for i in range(12)]))
    Image.new("RGB", (1000, 600), "pink").save(folder / "slide.jpg")
    slide = PictureFile(folder / "slide.jpg", "Slide s1", "s1: 12 patches.")
    findings = dataclasses.replace(findings, slides=[slide], pictures=[slide], large_images=make_large_images(folder))
    write_page(folder / "report.html", build_study_page(findings, study_answer(findings.study, 480, 12)))
    return folder / "report.html"


def test_it_fits_a_phone_and_a_desktop(report, tmp_path):
    frames = measure([report], (320, 390, 1200), tmp_path)
    assert [int(frame["width"]) for frame in frames] == [320, 390, 1200]
    assert all(frame["scroll"] <= int(frame["width"]) for frame in frames)
    assert all(frame["loaded"] for frame in frames)
    assert frames[1]["answer_bottom"] < 900
    assert all(frame["links_apart"] for frame in frames), "entries of the contents overlap"
    assert all(frame["scroll_hinted"] for frame in frames), "a table is cut without a hint"
    assert [frame["wide_tables"] for frame in frames[:2]] == [0, 0]


def test_no_text_of_a_figure_is_cut(report, tmp_path):
    assert [frame["cut_texts"] for frame in measure([report], (320, 390, 1200), tmp_path)] == [[], [], []]


def test_it_prints(report, tmp_path):
    assert 4 <= print_pages(report, tmp_path) <= 30


def test_settings_that_are_folded_on_the_screen_are_printed(report, tmp_path):
    """A page with closed details takes as many sheets as the same page with open ones."""
    folded, opened = tmp_path / "folded.html", tmp_path / "opened.html"
    text = report.read_text().replace('<pre tabindex="0">', '<pre tabindex="0">' + "a setting\n" * 400)
    folded.write_text(text)
    opened.write_text(text.replace("<details>", "<details open>"))
    assert print_pages(folded, tmp_path) == print_pages(opened, tmp_path)
