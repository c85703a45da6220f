"""The description of an arm and of its models is verified before it is used."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_classifier_training import SMALL, recipe
from textures import write_stripes

from histoforge.classifiers.arms import load_arm, load_classifier, read_arm
from histoforge.classifiers.study import train
from histoforge.core.errors import ModelError
from histoforge.core.seals import sealed
from histoforge.evaluation.challenger import open_challenger
from histoforge.training.model_files import read_model_info


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The arms `one` and `other`, of two seeds each, and the patches that trained them."""
    folder = tmp_path_factory.mktemp("arms")
    patches = write_stripes(folder / "patches", (8, 8), (4, 4), (4, 4))
    for name, epochs in (("one", 1), ("other", 2)):
        train(name, SMALL, recipe(epochs=epochs), [0, 1], patches, None, folder / name)
    return folder


@pytest.fixture
def arm(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained / "one", tmp_path / "arm"))


def change(file: Path, changes: dict[str, Any], seal: str = "") -> None:
    """Change entries of a JSON file; with the name of the digest's entry, seal it again as its writer would."""
    content = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps(sealed(content, 1, seal) if seal else content))


READERS: dict[str, Callable[[Path], Any]] = {
    "read": read_arm,
    "load": load_arm,
    "load the lowest seed": load_classifier,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("changed", [{"counts": {}}, {"seeds": [0]}, {"runs": []}, {"config": {}}, {"arm": "x"}])
def test_a_changed_arm_is_refused(arm: Path, reader: str, changed: dict[str, Any]) -> None:
    change(arm / "arm.json", changed)
    with pytest.raises(ModelError, match=r"arm\.json was changed after it was written"):
        READERS[reader](arm)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "changed",
    [
        {"seeds": ["../../x"]},
        {"seeds": ["0", "1"]},
        {"seeds": [0, True]},
        {"seeds": []},
        {"seeds": [0, 2]},
        {"counts": None},
        {"counts": {"train": 3}},
        {"runs": None},
        {"runs": [{"seed": "../x"}]},
        {"digests": []},
        {"judge": "../x"},
    ],
)
@pytest.mark.parametrize("seal", ["digest", ""])
def test_a_malformed_arm_is_refused(arm: Path, reader: str, changed: dict[str, Any], seal: str) -> None:
    """With a valid digest and, as in earlier versions, without one."""
    change(arm / "arm.json", {**changed, "digest": ""}, seal)
    with pytest.raises(ModelError, match=r"arm\.json is damaged \(.*\): train the arm again\.$"):
        READERS[reader](arm)


def test_the_model_of_another_arm_is_refused(arm: Path, trained: Path) -> None:
    shutil.rmtree(arm / "seed-0")
    shutil.copytree(trained / "other" / "seed-0", arm / "seed-0")
    for read in (load_arm, load_classifier):
        with pytest.raises(ModelError, match=r"seed-0 is not the model in arm\.json beside it"):
            read(arm)
    with pytest.raises(ModelError, match="seed-0 is not the model"):
        open_challenger(arm, write_stripes(arm.with_name("p"), (8, 8), (4, 4), (4, 4)))


def test_an_arm_of_an_earlier_version_is_read_with_a_warning(arm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((arm / "arm.json").read_text())
    (arm / "arm.json").write_text(
        json.dumps({k: v for k, v in content.items() if k not in ("digest", "schema_version")})
    )
    assert len(load_arm(arm)) == 2
    assert "arm.json is of an earlier version of histoforge and has no digest" in capsys.readouterr().err


def test_the_training_record_of_a_model_is_protected(arm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = arm / "seed-0" / "model.json"
    info = read_model_info(arm / "seed-0")
    change(file, {"training": {**info.training, "val_accuracy": 1.0}})
    with pytest.raises(ModelError, match=r"model\.json was changed after it was written"):
        read_model_info(arm / "seed-0")
    content = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in content.items() if k not in ("seal", "schema_version")}))
    assert read_model_info(arm / "seed-0").digest == info.digest
    assert "model.json is of an earlier version of histoforge and has no digest" in capsys.readouterr().err
    change(file, {"schema_version": 2})
    with pytest.raises(ModelError, match="newer than 1"):
        read_model_info(arm / "seed-0")
