"""Aligned latent diffusion and its large images, from drawn tissue to the report, through kfp's local runner."""

import json
import re
import subprocess

import pytest
from command_line import call
from running import ENVIRONMENT, PROGRAM
from tiny_study import PATHUP, write_images

from histoforge.generators.loading import load_generator
from histoforge.patches import PatchSet

CLASSIFIERS = ("vit_s_16", "admil")
SMALLER = {"baselines": "[stylegan2]", "upscalers": "[bsrgan]"}
ARMS = {"baseline", "admil", *(f"{name}_{kind}" for name in CLASSIFIERS for kind in ("random", "ours"))}


def arguments(source, out, **more):
    settings = [word for name, value in {**PATHUP, **SMALLER, **more}.items() for word in ("--set", f"{name}={value}")]
    return ["run", "pathup", "--source", source, "--out", out, "--preset", "", *settings]


def run(source, out, *flags, **more):
    command = [PROGRAM, *arguments(source, out, **more), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def tissue(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("tissue") / "images", per_class=16, patients=4, side=64)


@pytest.fixture(scope="module")
def finished(tissue, tmp_path_factory):
    out = tmp_path_factory.mktemp("pathup") / "out"
    done = run(tissue, out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done


def test_both_levels_and_the_large_images_show_the_same_tissue_in_the_same_splits(finished):
    out, _ = finished
    patches, overviews, images = (PatchSet.open(out / name) for name in ("patches", "overviews", "large_images"))
    assert patches.patch_size == overviews.patch_size == (32, 32)
    assert images.patch_size == (64, 64)
    for column in ("patient", "split", "file"):
        assert overviews.index[column].tolist() == images.index[column].tolist()
    shrunk = images.images().reshape(-1, 32, 2, 32, 2, 3).astype(float).mean(axis=(2, 4))
    assert abs(overviews.images() - shrunk).max() <= 1
    assert set(patches.info.counts) == {"train", "val", "test"}, "nobody is held back"


def test_the_rows_of_table_2_differ_in_alignment_alone(finished):
    out, _ = finished
    configs = [load_generator(out / name, "cpu").info.config for name in ("unaligned", "prompted", "full")]
    assert [config.pop("alignment") for config in configs] == ["none", "prompt", "entropy"]
    assert configs[0] == configs[1] == configs[2]


def test_the_baseline_learns_each_level_apart(finished):
    out, _ = finished
    for name, level in (("patch_baselines-0", "patches"), ("overview_baselines-0", "overviews")):
        info = load_generator(out / name, "cpu").info
        assert info.method == "stylegan2"
        assert info.digests["patches"] == PatchSet.open(out / level).digest


def test_images_are_drawn_by_both_generators_and_in_other_ways(finished):
    out, _ = finished
    generators = {name: load_generator(out / name, "cpu").info.digest for name in ("unaligned", "full")}
    drawn = {name: PatchSet.open(out / name).info for name in ("random_images", "our_images")}
    ablations = [PatchSet.open(out / f"other_images-{number}").info for number in range(2)]
    ablations.append(PatchSet.open(out / "enlarged_images-0").info)
    assert drawn["random_images"].made_by["generator"] == generators["unaligned"]
    assert all(info.made_by["generator"] == generators["full"] for info in (drawn["our_images"], *ablations))
    settings = [(info.made_by["config"]["weights"], info.made_by["config"]["upscaler"]) for info in ablations]
    assert settings == [("none", "tracking"), ("paper", "bicubic"), ("paper", "trained")]
    assert all(info.patch_size == (64, 64) for info in (*drawn.values(), *ablations))


def test_every_arm_of_table_6_is_tested_on_real_large_images(finished):
    out, _ = finished
    results = json.loads((out / "metrics.json").read_text())
    assert set(results["arms"]) == ARMS
    for name in CLASSIFIERS:
        counts = [results["arms"][f"{name}_{kind}"]["counts"] for kind in ("random", "ours")]
        assert [sum(count["synthetic"].values()) for count in counts] == [4, 4]
    arms = {name: json.loads((out / name / "arm.json").read_text()) for name in ("baseline", "admil")}
    assert arms["baseline"]["method"] == "vit_s_16"
    assert arms["baseline"]["config"]["input_size"] == arms["admil"]["config"]["tile_size"] == 32
    images = PatchSet.open(out / "large_images")
    assert all(arm["digests"]["patches"] == images.digest for arm in arms.values())
    synthetic = [
        json.loads((out / f"admil_{kind}" / "arm.json").read_text())["digests"]["synthetic"]
        for kind in ("random", "ours")
    ]
    assert synthetic == [PatchSet.open(out / f"{name}_images").digest for name in ("random", "our")]


def test_the_report_has_the_papers_tables(finished):
    out, _ = finished
    scores = json.loads((out / "metrics.json").read_text())["large_images"]
    levels = [(row["name"], sorted({level["level"] for level in row["levels"]})) for row in scores["generators"]]
    assert sorted(levels) == [
        *((f"pathup:{alignment}", ["overview", "patch"]) for alignment in ("entropy", "none", "prompt")),
        ("stylegan2", ["overview"]),
        ("stylegan2", ["patch"]),
    ]
    assert [row["name"] for row in scores["images"]] == [
        "tracking",
        "bsrgan",
        "tracking without weight map",
        "bicubic",
    ]
    assert set(scores["reconstruction"]) == {"patch", "overview"}
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("Table 1", "Table 2", "Table 3", "Table 4", "Table 6"):
        assert words in page


def test_ours_is_compared_with_real_and_with_random(finished):
    out, done = finished
    results = json.loads((out / "metrics.json").read_text())
    assert done.stdout.splitlines()[0] == results["answer"]["headline"]
    pairs = {(each["arm"], each["against"]) for each in results["differences"]}
    for name, alone in zip(CLASSIFIERS, ("baseline", "admil"), strict=True):
        assert {(f"{name}_ours", alone), (f"{name}_random", alone), (f"{name}_ours", f"{name}_random")} <= pairs
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("admil + ours", "vit_s_16 + random", "F1"):
        assert words in page


def test_another_setting_of_the_report_leaves_everything_before_it(finished, tissue):
    out, _ = finished
    done = run(tissue, out, "--overwrite", **{"evaluate.heading": "Once more"})
    assert done.returncode == 0, done.stderr[-3000:]
    reused = set(re.findall("^(.*): result reused", done.stderr, re.MULTILINE))
    assert reused >= {"Cut large images", "Train the autoencoder", "Draw our images", "Train on large images"}
    assert not re.search("^(preprocess|train|score|synthesise)", done.stderr, re.MULTILINE)
    assert "Once more" in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("preprocess.overview_shrink", 0, "overviews that show more tissue"),
        ("train_generator.pathup.spatial_levels", "patch", "generator of patches and overviews"),
        ("baselines", "[ddpn]", "ddpm"),
    ],
)
def test_wrong_settings_are_refused_before_the_first_step(tissue, tmp_path, capsys, setting, value, sentence):
    done = call(capsys, *arguments(tissue, tmp_path / "out", **{setting: value}))
    assert done.code == 2, done.err[-2000:]
    assert sentence in done.err.splitlines()[-1]
    assert not re.search("^preprocess", "\n".join(done.err.splitlines()[:-1]), re.MULTILINE)
