"""New files under the same location are never served from the cache; unchanged ones are."""

import logging
from contextlib import redirect_stdout

import pytest
from histoforge_components.preprocess.component import preprocess
from histoforge_components.scan_source.component import scan_source
from histoforge_components.train_classifier.component import train_classifier
from kfp import dsl, local
from tiny_study import SETTINGS, write_images

from histoforge.classifiers.arms import read_arm
from histoforge.cli.run.console import Console, ToConsole
from histoforge.patches import PatchSet

OVERRIDES = {"preprocess.patch_size": "16", "preprocess.overview_size": 32, "preprocess.patient_pattern": "(p[0-9]+)-"}


@dsl.pipeline(name="first-steps")
def first_steps(source: str, overrides: dict) -> dsl.Dataset:
    scan = scan_source(source=source, overrides=overrides)
    scan.set_caching_options(False)
    overrides_of_step = scan.outputs["preprocess_overrides"]
    cutting = preprocess(source=source, dataset_digest=scan.outputs["Output"], overrides=overrides_of_step)
    return cutting.outputs["patches"]


@dsl.pipeline(name="folds")
def train_folds(source: str, cutting: dict, training: dict):
    patches = preprocess(source=source, dataset_digest="the images", overrides=cutting, folds=2).outputs["patches"]
    with dsl.ParallelFor([{"fold": 0}, {"fold": 1}]) as item:
        train_classifier(patches=patches, fold=item.fold, overrides=training)


def call(source, folder, caplog, **more):
    patches, cached = run(first_steps, folder, caplog, source=str(source), overrides={**OVERRIDES, **more})
    return PatchSet.open(patches.output.path), cached


def run(pipeline, folder, caplog, **arguments):
    """Run a pipeline, and return it with the names of the tasks that were taken from the cache."""
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder),
        enable_caching=True,
        cache_root=str(folder / "cache"),
    )
    console, root = Console(folder / "run.log"), logging.getLogger()
    handler = ToConsole(console)
    root.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO), redirect_stdout(console):
            done = pipeline(**arguments)
    finally:
        root.removeHandler(handler)
        console.close()
    return done, console.cached


@pytest.mark.filterwarnings("ignore:You may be attem:RuntimeWarning")
def test_a_new_file_runs_preprocess_again_and_nothing_new_does_not(tmp_path, caplog):
    source = write_images(tmp_path / "images")
    first, cached = call(source, tmp_path / "kfp", caplog)
    assert cached == []
    again, cached = call(source, tmp_path / "kfp", caplog)
    assert (cached, again.digest) == (["preprocess"], first.digest)
    (source / "benign" / "p1-new.png").write_bytes((source / "tumour").iterdir().__next__().read_bytes()[:-1] + b"\x82")
    more, cached = call(source, tmp_path / "kfp", caplog)
    assert cached == []
    assert len(more) == len(first) + 1


@pytest.mark.filterwarnings("ignore:You may be attem:RuntimeWarning")
def test_a_setting_of_the_classifier_cuts_no_patches_anew(tmp_path, caplog):
    source = write_images(tmp_path / "images")
    first, _ = call(source, tmp_path / "kfp", caplog)
    again, cached = call(source, tmp_path / "kfp", caplog, **{"train_classifier.epochs": 3})
    assert (cached, again.digest) == (["preprocess"], first.digest)
    _, cached = call(source, tmp_path / "kfp", caplog, **{"preprocess.overview_size": 48})
    assert cached == []


@pytest.mark.filterwarnings("ignore:You may be attem:RuntimeWarning")
def test_folds_that_are_trained_are_reused_each_for_itself(tmp_path, caplog):
    folder = tmp_path / "kfp"
    given = {"source": str(write_images(tmp_path / "images")), "cutting": settings_of("preprocess")}
    training = settings_of("train_classifier")
    _, cached = run(train_folds, folder, caplog, **given, training=training)
    assert cached == []
    assert sorted(read_arm(path.parent)["fold"] for path in folder.glob("folds-*/**/arm.json")) == [0, 1]
    _, cached = run(train_folds, folder, caplog, **given, training=training)
    assert sorted(cached) == ["preprocess", "train-classifier", "train-classifier"]
    _, cached = run(train_folds, folder, caplog, **given, training={**training, "seed": 5})
    assert cached == ["preprocess"]


def settings_of(step):
    return {name.partition(".")[2]: value for name, value in SETTINGS.items() if name.startswith(f"{step}.")}
