"""The notebooks of the docs run from their first cell to their last, on drawn tissue."""

from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))
SECONDS = 600


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: make install")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: make install")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(request.param, as_version=4)
    nbclient.NotebookClient(notebook, timeout=SECONDS, kernel_name="python3").execute()
    return notebook


def test_it_runs_and_answers(executed: Any) -> None:
    printed = "".join(
        output.get("text", "")
        for cell in executed.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.get("name") == "stdout"
    )
    assert "copies of training patches" in printed
    assert "Accuracy, mean over 3 seeds" in printed


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["a-generator-in-twenty-lines", "do-my-synthetic-patches-help"]
