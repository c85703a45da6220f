"""The guided GAN, and a benchmark of other methods beside it, from image folders to the leaderboard."""

import json
import re
import subprocess

import pytest
from command_line import call
from running import ENVIRONMENT, PROGRAM
from tiny_study import LEADERBOARD

from histoforge.core.settings import load_preset
from histoforge.patches import PatchSet


def arguments(pipeline, source, out, methods, *flags, **more):
    assignments = {**LEADERBOARD, "generator_seeds": 1, "methods": methods, **more}
    settings = [word for name, value in assignments.items() for word in ("--set", f"{name}={value}")]
    return ["run", pipeline, "--source", source, "--out", out, "--preset", "", *settings, *flags]


def run(*words):
    command = [PROGRAM, *arguments(*words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def guided(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    done = run("rleo", source, out, '["rleo:literal"]')
    assert done.returncode == 0, done.stderr[-2000:]
    return done, out, weights(out / "generators-0")


def weights(model):
    return (model / "model.safetensors").read_bytes()


def results(out):
    return json.loads((out / "metrics.json").read_text())


def test_the_classes_of_the_guided_gan_are_trained_apart_and_joined(guided):
    done, out, _ = guided
    trained = re.findall(r"^train_generator rleo:literal (\w+) seed 0: done", done.stderr, re.MULTILINE)
    assert sorted(trained) == ["benign", "tumour"]
    model = json.loads((out / "generators-0" / "model.json").read_text())
    assert (model["method"], model["classes"], model["config"]["reward"]) == ("rleo", ["benign", "tumour"], "literal")
    samples = PatchSet.open(out / "samples-0")
    assert (samples.info.synthetic, samples.classes) == (True, ["benign", "tumour"])
    assert samples.counts.sum() == 32
    assert samples.counts.min() > 8


def test_each_generator_has_a_classifier_from_its_patches_alone_and_one_beside_the_real(guided):
    _, out, _ = guided
    samples = PatchSet.open(out / "samples-0").digest
    for arm, use in (("baseline", "real"), ("rleo_literal_s0", "synthetic"), ("rleo_literal_s0_both", "both")):
        arm_file = json.loads((out / arm / "arm.json").read_text())
        assert (arm_file["arm"], arm_file["config"]["use"]) == (arm, use)
        assert arm_file["digests"].get("synthetic") == (None if use == "real" else samples)
    downstream = results(out)["methods"]["rleo:literal"]["downstream"]
    assert {"synthetic", "both"} <= set(downstream)


def test_a_benchmark_of_other_methods_takes_over_what_is_the_same(guided, source):
    _, out, joined = guided
    done = run("generator-benchmark", source, out, '["dcgan", "rleo:literal"]', "--overwrite")
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(re.findall("result reused", done.stderr)) >= 3  # patches, classifiers on real ones, guide
    ranking = results(out)
    assert set(ranking["methods"]) == {"dcgan", "rleo:literal"}
    model = json.loads((out / "generators-0" / "model.json").read_text())
    assert (model["method"], model["classes"]) == ("dcgan", ["benign", "tumour"])
    assert weights(out / "generators-1") == joined  # classes one after the other, and side by side
    assert any("The only variant of rleo compared here is 'literal'" in line for line in ranking["answer"]["lines"])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "rleo:literal" in page


def test_inspect_shows_the_leaderboard(guided, capsys):
    shown = call(capsys, "inspect", guided[1]).out
    assert all(word in shown for word in ("rleo:literal", "fid", "16 patches of 2 patients")), shown


@pytest.mark.parametrize(
    ("methods", "more", "sentence"),
    [
        ('["dcgn"]', {}, "no method 'dcgn' (did you mean 'dcgan'?)"),
        ("[dcgan, ddpm]", {"generator_maps": 8}, "the method 'ddpm' has no parameter 'generator_maps'"),
    ],
)
def test_a_misspelt_method_or_setting_is_said_before_patches_are_cut(source, tmp_path, capsys, methods, more, sentence):
    done = call(capsys, *arguments("generator-benchmark", source, tmp_path / "out", methods, **more))
    assert done.code == 2
    assert sentence in done.err.splitlines()[-1]
    assert "preprocess" not in done.err


def test_without_weights_the_papers_frozen_layers_are_refused(source, tmp_path, capsys):
    assert load_preset("paper-rleo")["train_classifier"]["trainable_layers"] == 16
    done = call(capsys, "run", "rleo", "--source", source, "--out", tmp_path / "out", "--preset", "paper-rleo")
    assert done.code == 2
    assert "trainable_layers=16 freezes all other layers" in done.err.splitlines()[-1]
