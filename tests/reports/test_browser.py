"""The page in a real browser: it fits a phone and a desk, says nothing on the console, and prints."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from made_up import make_findings, make_study
from PIL import Image

from histoforge.evaluation.findings import PictureFile
from histoforge.reports.layout.page import write_page
from histoforge.reports.study_page import build_page
from histoforge.reports.text.study_answer import answer

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--allow-file-access-from-files",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--log-level=0",
)  # fmt: skip
SEEN = """<body><script>
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument;
    const loaded = [...page.images].every((image) => image.complete && image.naturalWidth > 0);
    const low = page.querySelector(".answer").getBoundingClientRect().bottom;
    const links = [...page.querySelectorAll("nav a")].map((link) => link.getBoundingClientRect());
    const apart = links.every((one, n) => links.every((other, m) => n >= m ||
      one.bottom <= other.top || other.bottom <= one.top || one.right <= other.left || other.right <= one.left));
    const hinted = [...page.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth + 1)
      .every((box) => frame.contentWindow.getComputedStyle(box).backgroundImage.includes("gradient"));
    const wide = [...page.querySelectorAll("table:not(.words)")].filter((table) => table.tHead.rows[0].cells.length > 4
      && !table.closest(".matrices")).filter((table) => table.getBoundingClientRect().width > frame.width).length;
    return { width: frame.width, scroll: page.documentElement.scrollWidth, loaded, low, apart, hinted, wide };
  });
  document.body.innerHTML = "<pre>" + JSON.stringify(found) + "</pre>";
});
</script>FRAMES</body>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here (Debian's package is 'chromium')")


def browse(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    arms = {"baseline": 0.5, "an_arm_with_a_rather_long_name_of_40_chars": 1.0, "selective": 1.2}
    findings = make_findings(make_study(arms, names=[f"TCGA-AA-{i:04d}-with-a-long-name" for i in range(12)]))
    Image.new("RGB", (1000, 600), "pink").save(folder / "slide.jpg")
    slide = PictureFile(folder / "slide.jpg", "Slide s1", "s1: 12 patches.")
    findings = type(findings)(**{**vars(findings), "slides": [slide], "pictures": [slide]})
    write_page(folder / "report.html", build_page(findings, answer(findings.study, 480, 12)))
    return folder / "report.html"


def test_it_fits_a_phone_and_a_desk_without_a_word_on_the_console(report, tmp_path):
    frames = [f'<iframe src="{report.as_uri()}" width="{width}" height="900"></iframe>' for width in (320, 390, 1200)]
    (tmp_path / "seen.html").write_text(SEEN.replace("FRAMES", "".join(frames)))
    result = browse(tmp_path, "--virtual-time-budget=10000", "--dump-dom", (tmp_path / "seen.html").as_uri())
    found = json.loads(re.search(r"<pre>(.*)</pre>", result.stdout)[1])
    assert [int(one["width"]) for one in found] == [320, 390, 1200]
    assert all(one["scroll"] <= int(one["width"]) for one in found)
    assert all(one["loaded"] for one in found)
    assert found[1]["low"] < 900
    assert all(one["apart"] for one in found), "entries of the contents overlap"
    assert all(one["hinted"] for one in found), "a table is cut without a hint"
    assert [one["wide"] for one in found[:2]] == [0, 0]
    assert "CONSOLE" not in result.stderr


def test_it_prints(report, tmp_path):
    browse(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'report.pdf'}", report.as_uri())
    pages = (tmp_path / "report.pdf").read_bytes().count(b"/Type /Page\n")
    assert 4 <= pages <= 30


def test_settings_that_are_folded_on_the_screen_are_printed(report, tmp_path):
    """The page without its folds is as long on paper as the page with them."""
    folded, opened = tmp_path / "folded.html", tmp_path / "opened.html"
    text = report.read_text().replace('<pre tabindex="0">', '<pre tabindex="0">' + "a setting\n" * 400)
    folded.write_text(text)
    opened.write_text(text.replace("<details>", "<details open>"))
    pages = []
    for page in (folded, opened):
        browse(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'a.pdf'}", page.as_uri())
        pages.append((tmp_path / "a.pdf").read_bytes().count(b"/Type /Page\n"))
    assert pages[0] == pages[1]
