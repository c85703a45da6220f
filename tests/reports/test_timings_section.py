"""The section on time: one bar and one row per task, in a page that was written before."""

from html_pages import Outline

from histoforge.cli.run.report_timings import with_timings
from histoforge.core.timings import Work
from histoforge.reports.layout.blocks import Page, Section, Text
from histoforge.reports.layout.page import render
from histoforge.tasks.timings_file import named_usage
from histoforge.tasks.usage import PhaseUsage, Usage

SECTIONS = (Section("data", "Data", "What?", [Text(["Some."])]),)
PAGE = render(Page("Title", "", "none", "No difference.", [], [], [], sections=SECTIONS))


def used(name, **seconds):
    phases = {phase: PhaseUsage.of(Work(value, 2_000_000, 0)) for phase, value in seconds.items()}
    return named_usage(name, name, Usage(seconds=10, cpu_seconds=1, peak_memory_gib=1.25, phases=phases))


def test_a_page_gets_the_section_at_its_end_and_in_its_contents():
    page = with_timings(PAGE, [used("cut <1>", read=1.0, decode=4.0), used("train", compute=25.0)])
    links = [link["href"] for link in Outline(page).all("a")]
    assert links == ["#answer", "#answer", "#data", "#timings"]
    section = page[page.index('<section id="timings"') :]
    assert "cut &lt;1&gt;" in section
    assert section.index("Read") < section.index("Decode") < section.index("Compute") < section.index("Other")
    assert ">4.0<small>0.5 MB/s</small>" in section
    assert ">5.0" in section, "other: 10 s less 5 s in phases"
    assert section.count("1.25 GiB") == 2
    assert "Time of each task: cut &lt;1&gt; 10 s; train 10 s." in section


def test_a_page_stays_as_it_is_without_timings():
    assert with_timings(PAGE, []) == PAGE
