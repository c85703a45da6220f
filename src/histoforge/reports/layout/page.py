"""The HTML page: a single file that contains its styles, figures and pictures and loads nothing."""

from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import BaseLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

from histoforge import __version__
from histoforge.core.files import atomic_file
from histoforge.reports.layout.blocks import Page


def render(page: Page) -> str:
    """Return the page as HTML, with all text escaped and sections without blocks left out."""
    sections = [section for section in page.sections if section.blocks]
    return _template().render(page=page, sections=sections, style=_style(), version=__version__)


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
def _template() -> Template:
    environment = Environment(
        loader=BaseLoader(), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_read("page.html"))
