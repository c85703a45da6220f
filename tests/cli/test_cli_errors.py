"""Errors of the user: one sentence on standard error with the nearest name, exit code 2, and no traceback."""

import pytest
from command_line import call, run

TRAIN = ("train-classifier", "--patches", "nowhere", "--out", "out")


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (("proprocess",), ("proprocess", "preprocess")),
        (("preprocess", "--sorce", "x"), ("--sorce", "--source")),
        (("preprocess", "--source", "x"), ("--out",)),
        ((*TRAIN, "--preset", "quikstart"), ("quikstart", "quickstart")),
        ((*TRAIN, "--set", "epoch=3"), ("'epoch'", "'epochs'")),
        ((*TRAIN, "--set", "train_clasifier.epochs=3"), ("train_clasifier", "'train_classifier'")),
        ((*TRAIN, "--set", "epochs"), ("epochs", "NAME=VALUE")),
        ((*TRAIN, "--epochs", "0"), ("train-classifier: --epochs must be at least 1, not '0'.",)),
        ((*TRAIN, "--epochs", "three"), ("--epochs must be a whole number, not 'three'.",)),
        ((*TRAIN, "--set", "epochs=0"), ("'epochs' must be at least 1, not 0.",)),
        ((*TRAIN, "--set", "epochs=2024-13-45"), ("'epochs' must be a whole number, not '2024-13-45'.",)),
        ((*TRAIN, "--set", "epochs=1:30"), ("must be a whole number, not '1:30'.",)),
        ((*TRAIN, "--set", "epochs=!!python/object:os.system"), ("must be a whole number, not '!!python/object:os",)),
        ((*TRAIN, "--set", "epochs=!!set {a}"), ("must be a whole number",)),
        ((*TRAIN, "--set", f"epochs={'9' * 400}"), ("must be at most 100000",)),
        ((*TRAIN, "--set", f"epochs={'[' * 9999}"), ("must be a whole number",)),
        ((*TRAIN, "--set", "epochs=.nan"), ("must be a whole number, not '.nan'.",)),
        (
            (*TRAIN, "--precision", "half"),
            ("--precision takes 'auto' (bfloat16", "or 'bfloat16', not 'half'."),
        ),
        (("preprocess", "--out", "o", "--source", ""), ("--source must be non-empty, not ''.",)),
        (("phantom", "--out", "o", "--patients", "x"), ("phantom: --patients must be a whole number, not 'x'.",)),
        (("preprocess", "--out", "o"), ("preprocess: give --source (folder, ",)),
        (("preprocess", "--preset", "", "--out", "o", "--source", "~nosuchuser/x"), ("~nosuchuser/x",)),
        (("preprocess", "--out", "o", "--source", "x", "--split-ratios", "1:1"), ("--split-ratios",)),
        (("preprocess", "--preset", "", "--out", "o", "--source", "x" * 999), ("File name too long",)),
        ((*TRAIN, "--config", "nowhere.yaml"), ("nowhere.yaml", "cannot be read")),
        ((*TRAIN, "--preset", ""), ("nowhere", "not a patch set")),
        (("select-samples", "--patches", "p", "--extractor", "e", "--out", "o", "--rule", "best"), ("--rule", "best")),
        (("run", "selectiv", "--source", "x", "--out", "o"), ("selectiv", "selective-augmentation")),
        (("inspect", "nowhere"), ("nowhere",)),
        (("presets", "quik"), ("quik",)),
    ],
)
def test_is_one_sentence_and_2(capsys, tmp_path, monkeypatch, arguments, phrases):
    monkeypatch.chdir(tmp_path)
    ended = call(capsys, *arguments)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert all(phrase in ended.err for phrase in phrases), ended.err
    assert list(tmp_path.iterdir()) == []


def test_the_program_itself_ends_so(tmp_path):
    ended = run("run", "selective-augmentation", "--source", tmp_path / "none", "--out", tmp_path / "out")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "none" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_wrong_setting_of_the_last_step_stops_a_run_before_the_first(capsys, tmp_path):
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "one.tiff").touch()
    where = ("--source", tmp_path / "slides", "--out", tmp_path / "out")
    ended = call(capsys, "run", "selective-augmentation", *where, "--set", "evaluate.resample=5")
    assert ended.code == 2
    assert "did you mean 'resamples'" in ended.err
    assert not (tmp_path / "out").exists()


def test_settings_that_the_pipeline_fixes_cannot_be_overridden(capsys, tmp_path):
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "one.tiff").touch()
    where = ("--source", tmp_path / "slides", "--out", tmp_path / "out")
    ended = call(capsys, "run", "selective-augmentation", *where, "--set", "train_classifier.arm=mine")
    assert ended.code == 2
    assert "'arm'" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_bug_keeps_its_traceback(capsys, monkeypatch):
    monkeypatch.setattr("histoforge.cli.presets.show_presets", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call(capsys, "presets")


@pytest.mark.parametrize(
    ("setting", "phrase"),
    [
        ("methods=dcgan", "requires a list for 'methods', not 'dcgan'"),
        ("generator_seeds=two", "requires a whole number for 'generator_seeds', not 'two'"),
        ("seeds=two", "requires a whole number for 'seeds', not 'two'"),
        ("seeds=1000", "train_classifier: 'seeds' must be at most 100, not 1000."),
    ],
)
def test_the_parameters_of_a_pipeline_are_checked_before_it_starts(capsys, tmp_path, setting, phrase):
    (tmp_path / "one.tiff").touch()
    where = ("--source", tmp_path, "--out", tmp_path / "out", "--set", "downstream_seeds=1")
    ended = call(capsys, "run", "generator-benchmark", *where, "--set", setting)
    assert ended.code == 2
    assert phrase in ended.err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_pipeline_needs_all_three_splits(capsys, tmp_path):
    (tmp_path / "one.tiff").touch()
    ended = call(
        capsys, "run", "selective-augmentation", "--source", tmp_path, "--out", "o", "--set", "split_ratios=1:1:0"
    )
    assert ended.code == 2
    assert "'split_ratios' is 1:1:0" in ended.err


@pytest.mark.parametrize(
    ("pipeline", "test_source", "phrase"),
    [
        ("selective-augmentation", "", "the source of the patch set itself"),
        ("selective-augmentation", "none", "none"),
        ("rleo", "none", "The pipeline rleo has no 'test_source'"),
    ],
)
def test_a_bad_test_source_is_refused_before_a_pipeline_starts(capsys, tmp_path, pipeline, test_source, phrase):
    (tmp_path / "one.tiff").touch()
    where = ("--source", tmp_path, "--out", tmp_path / "out", "--test-source", tmp_path / test_source)
    ended = call(capsys, "run", pipeline, *where)
    assert ended.code == 2
    assert phrase in ended.err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
