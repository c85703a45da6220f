"""The HTML page: a single file that contains its styles, figures and pictures and loads nothing."""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from histoforge import __version__
from histoforge.core.files import atomic_file
from histoforge.reports.layout.blocks import Page, Section

CONTENTS_END, SECTIONS_END = "<!-- contents end -->", "<!-- sections end -->"


def render(page: Page) -> str:
    """Return the page as HTML, with all text escaped and sections without blocks left out."""
    sections = [section for section in page.sections if section.blocks]
    return (
        _templates().get_template("page.html").render(page=page, sections=sections, style=_style(), version=__version__)
    )


def with_section(page: str, section: Section) -> str:
    """Return a page, as HTML, with one more section at its end; unchanged if the section has no blocks."""
    if not section.blocks:
        return page
    blocks: Any = _templates().get_template("blocks.html").module
    link = Markup('<li><a href="#{}">{}</a></li>').format(section.id, section.title)
    page = page.replace(CONTENTS_END, f"{link}\n{CONTENTS_END}", 1)
    return page.replace(SECTIONS_END, f"{blocks.section_of(section)}\n{SECTIONS_END}", 1)


def write_page(path: Path, page: Page) -> int:
    """Write the page atomically and return its size in bytes."""
    text = render(page).encode()
    with atomic_file(path) as temporary:
        temporary.write_bytes(text)
    return len(text)


def _read(name: str) -> str:
    return (resources.files("histoforge") / "reports" / "layout" / name).read_text(encoding="utf-8")


@cache
def _style() -> Markup:
    return Markup(_read("page.css"))


@cache
def _templates() -> Environment:
    return Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
