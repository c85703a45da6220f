"""Large images are drawn once, whatever interrupts it, and come as a patch set and as slides like real ones."""

import json
import os
import signal

import numpy as np
import openslide
import pytest
from command_line import call
from processes import kill_at_call, run_process, run_ranks
from small_disk import mounted_small_disk
from steps.preprocessing import preprocess
from tiny_guide import save_random_guide
from untrained_generator import save_generator
from untrained_pathup import save_pathup

from histoforge.core.errors import HistoforgeError, ModelError, SettingsError, StorageError
from histoforge.core.results import LEFT_BESIDE
from histoforge.generators.pathup.finished_images import FinishedImages
from histoforge.metrics.seams import seam_energy
from histoforge.patches import PatchSet
from histoforge.steps.synthesise_images import run
from histoforge.steps.synthesise_images_config import SynthesiseImagesConfig

SETTINGS = {"size": "64x48", "images_per_class": 2, "steps": 4, "device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    path = tmp_path_factory.mktemp("generator") / "generator"
    save_pathup(path)
    return path


def synthesise(generator, out, guide=None, **values):
    config = SynthesiseImagesConfig.make({**SETTINGS, **values})
    return run(config, generator=generator, guide=guide, images=out / "images", slides=out / "slides")


@pytest.fixture(scope="module")
def drawn(generator, tmp_path_factory):
    """Images that were drawn without an interruption."""
    out = tmp_path_factory.mktemp("drawn")
    return out, synthesise(generator, out)


def files_of(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in LEFT_BESIDE)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_images_are_a_synthetic_patch_set_of_each_class(drawn):
    out, summary = drawn
    images = PatchSet.open(out / "images")
    assert images.info.synthetic
    assert images.patch_size == (64, 48)
    assert images.index["class_name"].tolist() == ["benign"] * 2 + ["tumour"] * 2
    assert images.index["mpp"].tolist() == [0.5] * 4
    assert images.index["patient"].nunique() == 4
    assert len(np.unique(images.images(), axis=0)) == 4
    made_by = images.info.made_by
    assert made_by["borders"] == {"rows": [16, 32, 48], "columns": [16, 32], "grid": 4}
    assert made_by["upscaled_by"] == "tracking"
    assert images.index["seams"].tolist() == pytest.approx(
        [seam_energy(image[None], **made_by["borders"]) for image in images.images()]
    )
    assert summary.images == {"benign": 2, "tumour": 2}
    assert (summary.windows, summary.steps, summary.resumed) == (6, 2, 0)
    assert summary.seams == pytest.approx(images.index["seams"].mean())
    assert summary.repeated is None
    assert {path.name for path in out.iterdir()} == {"images", "slides"}
    assert {path.name for path in (out / "slides").iterdir()} == {"slides.csv", "slides.json"}


def test_an_image_depends_on_its_number_alone(generator, drawn, tmp_path):
    synthesise(generator, tmp_path, images_per_class=1)
    few, many = PatchSet.open(tmp_path / "images"), PatchSet.open(drawn[0] / "images")
    assert np.array_equal(few.images(), many.images()[[0, 2]])


def draw_and_die(generator, out, finished):
    """Draw images, and kill the process when `finished` of them are saved."""
    kill_at_call(FinishedImages, "save", finished + 1)
    synthesise(generator, out)


def test_a_killed_drawing_goes_on_from_its_last_image_with_the_same_bytes(generator, drawn, tmp_path):
    assert run_process(tmp_path / "stderr", draw_and_die, generator, tmp_path, 3).code == -signal.SIGKILL
    assert not (tmp_path / "images").exists()
    assert synthesise(generator, tmp_path).resumed == 3
    assert files_of(tmp_path / "images") == files_of(drawn[0] / "images")
    assert not (tmp_path / "images-drawing").exists()


def interrupt(monkeypatch):
    """Let drawing fail when its images are complete and before they are written."""

    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("histoforge.steps.synthesise_images._write_images", fail)


def test_another_machine_goes_on_from_images_in_a_location(generator, drawn, tmp_path, monkeypatch):
    store = tmp_path / "store"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched)
        synthesise(generator, tmp_path / "first", checkpoints=str(store))
    assert synthesise(generator, tmp_path / "second", checkpoints=str(store)).resumed == 4
    assert files_of(tmp_path / "second" / "images") == files_of(drawn[0] / "images")
    assert not list(store.rglob("*.png"))


def test_finished_images_of_other_settings_or_damaged_ones_are_drawn_again(generator, drawn, tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched)
        synthesise(generator, tmp_path)
    damaged = next((tmp_path / "images-drawing").rglob("image-*.png"))
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched)
        assert synthesise(generator, tmp_path, strength=0.3).resumed == 0
    assert synthesise(generator, tmp_path).resumed == 3
    assert files_of(tmp_path / "images") == files_of(drawn[0] / "images")


def synthesise_in_process(generator, folder):
    synthesise(generator, folder / os.environ["RANK"], images_per_class=1, window_batch=2)


def test_processes_draw_the_images_of_one(generator, tmp_path):
    synthesise(generator, tmp_path / "alone", images_per_class=1, window_batch=2)
    run_ranks(tmp_path, 2, synthesise_in_process, generator, tmp_path)
    alone, shared = (PatchSet.open(tmp_path / name / "images").images().astype(int) for name in ("alone", "0"))
    assert np.abs(alone - shared).max() <= 1


def test_preprocess_reads_synthetic_slides_like_real_ones(generator, tmp_path):
    synthesise(generator, tmp_path, size="320", images_per_class=3, upscaler="bicubic", write_slides=True)
    slide = tmp_path / "slides" / "synthetic-1-0002.tiff"
    with openslide.OpenSlide(slide) as opened:
        assert float(opened.properties["openslide.mpp-x"]) == pytest.approx(0.5)
        facts = json.loads(opened.properties["tiff.ImageDescription"])
    images = PatchSet.open(tmp_path / "images")
    assert facts["class"] == "tumour"
    assert facts["synthetic"] is True
    assert facts["generator"] == images.index["generator"][0]
    cut = preprocess(
        tmp_path / "slides", tmp_path / "cut", patch_size="64", min_tissue=0, split_ratios="1:1:1", overview_size=64
    )
    assert cut.patches.classes == images.classes
    assert set(cut.patches.index["slide"]) == set(images.index["slide"])
    assert cut.patches.counts.min() > 70  # of 3 x 25
    assert set(cut.patches.index["split"]) == {"train", "val", "test"}
    row = cut.patches.index.query("slide == 'synthetic-1-0002' and x == 64 and y == 128").index[0]
    pixels = cut.patches.images(np.array([row]))[0].astype(int)
    original = images.images(np.array([5]))[0, 128:192, 64:128]
    assert np.abs(pixels.mean((0, 1)) - original.mean((0, 1))).max() < 3


def test_a_full_disk_in_the_middle_of_a_slide_leaves_no_slides_and_keeps_the_images(generator, tmp_path):
    config = SynthesiseImagesConfig.make({**SETTINGS, "size": "512", "upscaler": "bicubic", "write_slides": True})
    with mounted_small_disk(tmp_path / "disk", "64k") as disk:
        with pytest.raises(StorageError, match="The disk is full"):
            run(config, generator=generator, images=tmp_path / "images", slides=disk / "slides")
        assert list(disk.iterdir()) == []
    again = run(config, generator=generator, images=tmp_path / "images", slides=tmp_path / "slides")
    assert again.resumed == 4
    assert len(list((tmp_path / "slides").glob("*.tiff"))) == 4


def test_a_guide_finds_repeated_tissue(generator, tmp_path):
    guide = save_random_guide(tmp_path / "guide", ["benign", "tumour"])
    summary = synthesise(generator, tmp_path, guide=guide, size="96", upscaler="bicubic")
    assert 0 <= summary.repeated <= 1
    assert (summary.steps, summary.windows_per_second) == (0, 0)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"size": "16"}, SettingsError, "16x16 px is smaller than a window of 32x32 px: choose 32x32"),
        ({"size": "62"}, SettingsError, "62x62 px is not a multiple of 4 px.*: choose 64x64|choose 60x60"),
        ({"strength": 0}, SettingsError, "strength"),
        ({"strength": 1}, SettingsError, "strength"),
        ({"guidance": 0.5}, SettingsError, "guidance=0.5 must be at least 1"),
    ],
)
def test_values_that_cannot_be_drawn_are_refused(values, error, message, generator, tmp_path):
    with pytest.raises(error, match=message):
        synthesise(generator, tmp_path, **values)
    assert list(tmp_path.iterdir()) == []


def test_generators_that_cannot_draw_images_are_refused(tmp_path):
    save_generator(tmp_path / "histogan")
    save_pathup(tmp_path / "patches_alone", spatial_levels="patch")
    save_pathup(tmp_path / "conditions_alone", condition_dropout=0)
    for name, values, error, message in (
        ("histogan", {}, ModelError, "has the method 'histogan', which draws patches alone"),
        ("patches_alone", {}, SettingsError, "trained on patches alone"),
        ("conditions_alone", {"guidance": 3}, SettingsError, "guidance=3 needs a generator"),
        ("nothing", {}, ModelError, "is not a model"),
    ):
        with pytest.raises(error, match=message):
            synthesise(tmp_path / name, tmp_path / "out", **values)
    assert not (tmp_path / "out").exists()


def test_a_guide_of_other_patches_is_refused(generator, tmp_path):
    guide = save_random_guide(tmp_path / "guide", ["other", "classes"])
    with pytest.raises(HistoforgeError, match="run finetune_snn on that patch set"):
        synthesise(generator, tmp_path / "out", guide=guide)


def test_the_command_draws_and_refuses_with_one_sentence(generator, tmp_path, capsys):
    settings = ["--set", "steps=1", "--set", "images_per_class=1"]
    command = ["synthesise-images", "--generator", generator, "--out", tmp_path / "out", *settings]
    assert call(capsys, *command, "--size", "64").code == 0
    assert len(PatchSet.open(tmp_path / "out" / "images")) == 2
    refused = call(capsys, *command, "--size", "16", "--overwrite")
    assert refused.code == 2
    assert refused.err.strip().splitlines()[-1].endswith("choose 32x32.")
    assert len(PatchSet.open(tmp_path / "out" / "images")) == 2
