"""The guided GAN, and a benchmark of other methods beside it, from image folders to the leaderboard."""

import json
import re
import subprocess

import numpy as np
import pytest
from command_line import call
from PIL import Image
from running import ENVIRONMENT, PROGRAM
from tiny_diffusers import save_ddpm
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


@pytest.fixture(scope="module")
def entrants(tmp_path_factory):
    """A set of images and a diffusion model that somebody else made."""
    folder, rng = tmp_path_factory.mktemp("entrants"), np.random.default_rng(0)
    for name in ("benign", "tumour"):
        (folder / "tiles" / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "tiles" / name / f"{number}.png")
    (folder / "tiles" / "origin.yaml").write_text("{name: vendor, origin: a vendor, licence: CC0-1.0}")
    save_ddpm(folder / "ddpm", classes=2)
    (folder / "ddpm" / "origin.yaml").write_text("{origin: a colleague, classes: {'0': benign, '1': tumour}}")
    return folder


def test_a_benchmark_of_other_methods_takes_over_what_is_the_same(guided, source, entrants):
    _, out, joined = guided
    entered = [f"--entrant={entrants / name}" for name in ("tiles", "ddpm")]
    done = run(
        "generator-benchmark",
        source,
        out,
        '["dcgan", "rleo:literal"]',
        "--overwrite",
        *entered,
        "--set",
        "import_generator.steps=2",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(re.findall("result reused", done.stderr)) >= 3  # patches, classifiers on real ones, guide
    ranking = results(out)
    assert set(ranking["methods"]) == {"dcgan", "rleo:literal", "vendor", "ddpm"}
    model = json.loads((out / "generators-0" / "model.json").read_text())
    assert (model["method"], model["classes"]) == ("dcgan", ["benign", "tumour"])
    assert weights(out / "generators-1") == joined  # classes one after the other, and side by side
    assert any("The only variant of rleo compared here is 'literal'" in line for line in ranking["answer"]["lines"])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "rleo:literal" in page


def test_entrants_stand_beside_the_methods(guided, source, entrants):
    _, out, _ = guided
    methods = results(out)["methods"]
    for name, kind, maker in (("vendor", "patch set", "a vendor"), ("ddpm", "diffusers", "a colleague")):
        (scores,) = methods[name]["runs"]
        assert (scores["method"], scores["origin"]["origin"], scores["paths"]) == (kind, maker, None)
        assert set(methods[name]["downstream"]) == {"synthetic", "both"}
        assert methods[name]["metrics"]["fid"]["n"] == 1
    given = {np.asarray(Image.open(path)).tobytes() for path in (entrants / "tiles").rglob("*.png")}
    samples = PatchSet.open(out / "samples-2")
    assert all(image.tobytes() in given for image in samples.images(slice(None)))


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


@pytest.mark.parametrize(
    ("pipeline", "entrant", "sentence"),
    [
        ("generator-benchmark", "missing", "There is nothing at"),
        ("generator-benchmark", "other", "has the class 'glass', and the real patches have benign, tumour"),
        ("rleo", "other", "The pipeline rleo has no 'entrants'"),
    ],
)
def test_an_entrant_that_does_not_fit_is_refused_before_patches_are_cut(
    source, tmp_path, capsys, pipeline, entrant, sentence
):
    (tmp_path / "other" / "glass").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(tmp_path / "other" / "glass" / "a.png")
    where = f"--entrant={tmp_path / entrant}"
    done = call(capsys, *arguments(pipeline, source, tmp_path / "out", "[dcgan]", where))
    assert done.code == 2
    assert sentence in done.err.splitlines()[-1]
    assert "preprocess" not in done.err


def test_without_weights_the_papers_frozen_layers_are_refused(source, tmp_path, capsys):
    assert load_preset("paper-rleo")["train_classifier"]["trainable_layers"] == 16
    done = call(capsys, "run", "rleo", "--source", source, "--out", tmp_path / "out", "--preset", "paper-rleo")
    assert done.code == 2
    assert "trainable_layers=16 freezes all other layers" in done.err.splitlines()[-1]
