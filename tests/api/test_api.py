"""`histoforge.api`: its names, the dataset, generators and arms, and what it refuses; steps have their own tests."""

import inspect
import typing
from pathlib import Path

import numpy as np
import pytest
import torch
from slides_of_patients import CLASSES, write_patients
from tiny_classifier import save_classifier
from torch.utils.data import DataLoader
from untrained_generator import save_generator

from histoforge import api
from histoforge.patches import PatchSet

TINY = {"backbone": "resnet10", "width": 0.125, "epochs": 1, "seeds": 2, "batch_size": 8, "device": "cpu"}


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> api.Patches:
    folder = tmp_path_factory.mktemp("sets")
    write_patients(folder / "patches", size=32, stain="none")
    return api.open_patches(folder / "patches")


@pytest.fixture(scope="module")
def baseline(patches: api.Patches, tmp_path_factory: pytest.TempPathFactory) -> api.Arm:
    return api.train_arm(patches, tmp_path_factory.mktemp("arms") / "baseline", settings=TINY, preset="")


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> api.Generator:
    path = tmp_path_factory.mktemp("models") / "generator"
    save_generator(path, classes=CLASSES)
    return api.load_generator(path, "cpu")


def test_it_has_at_most_twenty_names_all_documented_and_typed() -> None:
    assert len(api.__all__) <= 20
    assert api.__all__ == sorted(api.__all__)
    for name in api.__all__:
        exported = getattr(api, name)
        assert inspect.getdoc(exported), name
        functions = (
            [exported]
            if inspect.isfunction(exported)
            else [
                member
                for key, member in vars(exported).items()
                if inspect.isfunction(member) and not key.startswith("_")
            ]
        )
        for function in functions:
            hints = typing.get_type_hints(function)
            assert set(inspect.signature(function).parameters) - {"self"} <= set(hints), (name, function)
            assert "return" in hints, (name, function)


def test_the_page_describes_every_name() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in api.__all__ if f"`{name}" not in page] == []


def test_a_patch_set_is_a_dataset_for_data_loaders(patches: api.Patches) -> None:
    whole = PatchSet.open(patches.path)
    images, labels = next(iter(DataLoader(patches, batch_size=5)))
    expected = torch.from_numpy(whole.images(slice(0, 5))).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(images, expected)
    assert labels.tolist() == whole.labels[:5].tolist()
    raw = api.open_patches(patches.path, "train", transform=lambda image: image)
    assert len(raw) == len(whole.split("train"))
    assert raw[-1][0].dtype == torch.uint8
    np.testing.assert_array_equal(raw[-1][0].permute(1, 2, 0).numpy(), raw.images([len(raw) - 1])[0])
    with pytest.raises(IndexError):
        patches[len(patches)]


def test_equal_seeds_draw_equal_patches_of_the_class(generator: api.Generator) -> None:
    first, again, other = (generator.sample("tumour", 3, seed=seed) for seed in (1, 1, 2))
    assert first.shape == (3, 3, 32, 32)
    torch.testing.assert_close(first, again)
    assert not torch.equal(first, other)
    assert first.abs().max() <= 1


def test_an_arm_predicts_the_mean_of_its_seeds(baseline: api.Arm, patches: api.Patches) -> None:
    from histoforge.classifiers.arms import load_arm

    images = torch.stack([patches[row][0] for row in range(4)])
    with torch.inference_mode():
        expected = torch.stack([each(images).softmax(1) for each in load_arm(baseline.path)]).mean(0)
    np.testing.assert_allclose(baseline.predict(images), expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(baseline.predict(patches.images(range(4))), expected.numpy(), atol=1e-5)
    assert baseline.seeds == [0, 1]
    assert set(baseline.val_accuracy) == {0, 1}


def test_written_patches_train_an_arm_that_is_compared(
    patches: api.Patches, baseline: api.Arm, generator: api.Generator, tmp_path: Path
) -> None:
    drawn = torch.cat([generator.sample(name, 6) for name in CLASSES])
    synthetic = api.write_patches(drawn, [0] * 6 + [1] * 6, tmp_path / "synthetic", like=patches, method="mine")
    assert synthetic.synthetic
    assert set(synthetic.table["method"]) == {"mine"}
    torch.testing.assert_close(synthetic[0][0], drawn[0], atol=1 / 127, rtol=0)
    arm = api.train_arm(patches, tmp_path / "arm", name="mine", synthetic=synthetic, settings=TINY, preset="")
    quick = {"resamples": 100, "map_patches": 10, "neighbours": 2, "device": "cpu"}
    comparison = api.compare_arms(
        patches, [baseline, arm], tmp_path / "report", synthetic=synthetic, settings=quick, preset=""
    )
    assert list(comparison.scores.index) == ["baseline", "mine"]
    assert comparison.results["memorisation"]["n_synthetic"] == 12
    assert str(comparison).startswith(comparison.results["answer"]["headline"])
    assert "mine" in comparison.report.read_text(encoding="utf-8")
    assert set(comparison.differences["arm"]) == {"mine"}
    exported = api.export_patches(synthetic, tmp_path / "png", audit=tmp_path / "report" / "metrics.json")
    assert comparison.results["memorisation"]["verdict"] in (exported / "README.md").read_text(encoding="utf-8")
    assert len(list(exported.rglob("*.png"))) == 12


def test_the_audit_finds_copies(patches: api.Patches, baseline: api.Arm, tmp_path: Path) -> None:
    train = api.open_patches(patches.path, "train")
    copies = api.write_patches(train.images(), train.labels, tmp_path / "copies", like=patches, method="copy")
    audit = api.audit_copies(copies, patches, baseline)
    assert audit.duplicates is not None
    assert len(audit.duplicates) >= len(train)


def test_selection_keeps_the_ratio(
    patches: api.Patches, baseline: api.Arm, generator: api.Generator, tmp_path: Path
) -> None:
    selected = api.select(
        patches, baseline, tmp_path, generator=generator, rule="random", ratio=0.5, settings={"passes": 2}, preset=""
    )
    assert len(selected) == len(api.open_patches(patches.path, "train")) // 2
    assert "rank" in selected.table


def test_slides_are_drawn_cut_and_predicted(tmp_path: Path) -> None:
    slides = api.draw_phantom(tmp_path / "slides", patients=3, size_px=768)
    settings = {"patch_size": "64", "mpp": 1.0, "split_ratios": "1:1:1"}
    cut = api.cut_patches(slides, tmp_path / "cut", settings=settings, preset="")
    assert cut.mpp == pytest.approx(1.0)
    save_classifier(tmp_path / "model", cut.classes, size=64, stain="none")
    out = api.predict_slides(tmp_path / "model", slides, tmp_path / "out", settings={"device": "cpu"}, preset="")
    assert len(list(out.glob("slides/*/tiles.geojson"))) == 3


def test_nothing_foreign_is_replaced(patches: api.Patches, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(api.HistoforgeError, match="is no arm"):
        api.train_arm(patches, tmp_path, settings=TINY, preset="")
    with pytest.raises(api.HistoforgeError, match="is no patch set"):
        api.write_patches(patches.images([0]), [0], tmp_path, like=patches, method="mine")
    with pytest.raises(api.HistoforgeError, match="would be lost"):
        api.export_patches(patches, patches.path / "png")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_bad_input_is_refused_with_a_sentence(
    patches: api.Patches, baseline: api.Arm, generator: api.Generator, tmp_path: Path
) -> None:
    with pytest.raises(api.HistoforgeError, match="no parameter 'epoks'"):
        api.train_arm(patches, tmp_path / "arm", settings={"epoks": 1})
    with pytest.raises(api.HistoforgeError, match="did you mean 'tumour'"):
        generator.sample("tumor", 2)
    with pytest.raises(api.HistoforgeError, match="takes images of 32x32 px"):
        baseline.predict(np.zeros((1, 16, 16, 3), np.uint8))
    with pytest.raises(api.HistoforgeError, match=r"give uint8 \(N, 32, 32, 3\)"):
        api.write_patches(np.zeros((1, 16, 16, 3), np.uint8), [0], tmp_path / "a", like=patches, method="mine")
    with pytest.raises(api.HistoforgeError, match="one label from 0 to 1"):
        api.write_patches(patches.images([0]), [2], tmp_path / "a", like=patches, method="mine")
    with pytest.raises(api.HistoforgeError, match="is not a patch set"):
        api.open_patches(tmp_path)
