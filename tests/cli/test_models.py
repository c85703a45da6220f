"""`histoforge models`, on versions in a folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import call

from histoforge.core.documents import read_json
from histoforge.models import ModelCard, ModelStore, Verdict
from histoforge.models.card import CardScore
from histoforge.models.versions import pack
from histoforge.storage import open_location


def publish(models: Path, name: str, worth: float) -> str:
    """Publish a version with this accuracy, unasked."""
    model = models.parent / f"model-{worth}"
    model.mkdir()
    (model / "arm.json").write_text(str(worth))
    card = ModelCard(
        name=name,
        kind="classifier",
        form="arm",
        arm="baseline",
        method="resnet10",
        seeds=[0, 1],
        classes=["a", "b"],
        patch_size=(16, 16),
        mpp=0.5,
        model=str(worth),
        digests={},
        unit="patients",
        confidence=0.95,
        patches={"test": {"a": 3, "b": 4}},
        units={"test": {"a": 1, "b": 2}},
        licences={"model": "CC-BY-4.0"},
        scores={"accuracy": CardScore(value=worth, low=0.1, high=0.9)},
        intended_use="Tests.",
        limits=["Small."],
    )
    folder = pack(model, card, models.parent / f"packed-{worth}")
    return (
        ModelStore(open_location(str(models)), name).publish(folder, card, lambda *_: Verdict(True, "it may")).version
    )


@pytest.fixture
def models(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, str, str]:
    """Where they are, and the versions of 'tumour' in the order of their publication."""
    folder = tmp_path / "models"
    monkeypatch.setenv("HISTOFORGE_MODELS", str(folder))
    versions = publish(folder, "tumour", 0.5), publish(folder, "tumour", 0.75)
    capsys.readouterr()
    return folder, *versions


def test_list(capsys: pytest.CaptureFixture[str], models: tuple[Path, str, str]) -> None:
    folder, first, second = models
    listed = call(capsys, "models", "list").out
    assert listed.split()[:2] == ["tumour", second]
    assert listed.endswith("2 versions\n")
    lines = call(capsys, "models", "list", "tumour", "--models", folder).out.splitlines()
    assert sorted(lines[:2]) == sorted([f"{first}  accuracy 0.500", f"{second}  accuracy 0.750  champion"])
    assert [line.split()[1:3] for line in lines[3:]] == [["publish", first], ["publish", second]]
    assert call(capsys, "models", "list", "--models", folder / "none").out.startswith("Nothing is published")


def test_show_and_pull(capsys: pytest.CaptureFixture[str], models: tuple[Path, str, str], tmp_path: Path) -> None:
    folder, first, second = models
    shown = call(capsys, "models", "show", "tumour").out
    assert shown.startswith(f"{folder}/tumour/{second}\n")
    assert "| accuracy | 0.750 | 0.100 to 0.900 |" in shown
    assert "| accuracy | 0.500 |" in call(capsys, "models", "show", "tumour", first).out
    pulled = call(capsys, "models", "pull", "tumour", "--out", tmp_path / "here")
    assert Path(pulled.out.strip()) == tmp_path / "here" / "model"
    assert (tmp_path / "here" / "model" / "arm.json").read_text() == "0.75"
    assert read_json(tmp_path / "here" / "model_card.json")["name"] == "tumour"


def test_rollback(capsys: pytest.CaptureFixture[str], models: tuple[Path, str, str]) -> None:
    _, first, second = models
    done = call(capsys, "models", "rollback", "tumour", "--to", first, "--reason", "frozen sections")
    assert done == (0, f"tumour: {first} is the champion again, instead of {second}\n", "")
    assert call(capsys, "models", "list").out.split()[1] == first
    assert "rollback" in call(capsys, "models", "list", "tumour").out.splitlines()[-1]
    assert (models[0] / "tumour" / second / "version.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "tumor"), r"No model 'tumor' is published at .* \(did you mean 'tumour'\?\): choose from tumour\."),
        (("show", "tumour", "0123"), "has no version '0123': choose one of"),
        (("rollback", "tumour", "--to", "0123", "--reason", "x"), "has no version '0123'"),
        (("rollback", "tumour", "--to", "0123", "--reason", " "), "'--reason' is empty"),
        (("list", "--models", "ftp://x"), "such as ftp:// are not supported"),
    ],
)
def test_a_mistake_is_one_sentence_and_2(
    capsys: pytest.CaptureFixture[str], models: tuple[Path, str, str], arguments: tuple[str, ...], sentence: str
) -> None:
    ended = call(capsys, "models", *arguments)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert re.search(sentence, ended.err)


def test_no_location_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HISTOFORGE_MODELS", raising=False)
    ended = call(capsys, "models", "list")
    assert (ended.code, "use '--models' or set HISTOFORGE_MODELS" in ended.err) == (2, True)


def test_listing_a_folder_imports_nothing_heavy(models: tuple[Path, str, str]) -> None:
    code = (
        "import sys\nfrom histoforge.cli import main\n"
        "try: main(['models', 'list'])\n"
        "except SystemExit: print('heavy:', *(set(sys.modules) & {'torch', 'pandas', 'scipy', 'minio', 'kfp'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.endswith("heavy:\n")
