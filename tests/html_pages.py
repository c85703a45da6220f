"""HTML pages read by a parser, and rendered by a headless browser."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--allow-file-access-from-files",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--log-level=0",
)
MEASURE = """<body><script>
addEventListener("load", () => {
  const frames = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument, box = (element) => element.getBoundingClientRect();
    const links = [...page.querySelectorAll("nav a")].map(box);
    const scrolled = [...page.querySelectorAll(".scroll")].filter((table) => table.scrollWidth > table.clientWidth + 1);
    const wide = (table) => table.tHead.rows[0].cells.length > 4 && !table.closest(".matrices");
    const isCut = (text) => box(text).left < box(text.closest("figure")).left - 2 ||
      box(text).right > box(text.closest("figure")).right + 2;
    return {
      width: frame.width,
      scroll: page.documentElement.scrollWidth,
      images: page.images.length,
      loaded: [...page.images].every((image) => image.complete && image.naturalWidth > 0),
      answer_bottom: box(page.querySelector(".answer")).bottom,
      links_apart: links.every((a, i) => links.every((b, j) => i >= j ||
        a.bottom <= b.top || b.bottom <= a.top || a.right <= b.left || b.right <= a.left)),
      scroll_hinted: scrolled.every((table) =>
        frame.contentWindow.getComputedStyle(table).backgroundImage.includes("gradient")),
      wide_tables: [...page.querySelectorAll("table:not(.textual)")].filter(wide)
        .filter((table) => box(table).width > frame.width).length,
      cut_texts: [...page.querySelectorAll(".drawing text")].filter(isCut).map((text) => text.textContent),
    };
  });
  document.body.innerHTML = "<pre>" + JSON.stringify(frames) + "</pre>";
});
</script>FRAMES</body>"""
VOID = {"meta", "link", "img", "br"}

needs_browser = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here (Debian's package is 'chromium')")


class Outline(HTMLParser):
    """Tags, attributes and text of a page; fails if a tag is closed that is not open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def measure(pages: Sequence[Path], widths: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """Return what a browser measures on each page at each width, px; fails if a page writes to the console."""
    frames = [f'<iframe src="{page.as_uri()}" width="{w}" height="900"></iframe>' for page in pages for w in widths]
    (folder / "frames.html").write_text(MEASURE.replace("FRAMES", "".join(frames)))
    result = _browse(folder, "--virtual-time-budget=10000", "--dump-dom", (folder / "frames.html").as_uri())
    assert "CONSOLE" not in result.stderr
    return json.loads(re.search(r"<pre>(.*)</pre>", result.stdout)[1])


def print_pages(page: Path, folder: Path) -> int:
    """Return the number of sheets that the page takes when it is printed."""
    _browse(folder, "--no-pdf-header-footer", f"--print-to-pdf={folder / 'page.pdf'}", page.as_uri())
    return (folder / "page.pdf").read_bytes().count(b"/Type /Page\n")


def _browse(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
