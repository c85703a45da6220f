"""`similar` and `duplicates`: the pages, the numbers beside them, and a sentence for each thing that can be wrong."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from command_line import call
from html_pages import Outline, measure, needs_browser
from PIL import Image
from real_data import shared_data
from tiny_encoders import write_encoder
from tiny_guide import CLASSES, noise, save_random_guide, write_set

from histoforge.classifiers.encoders.encoder import load_encoder
from histoforge.metrics.extract import extract_features
from histoforge.patches import PatchSetWriter
from histoforge.siamese.search import fit_to_patch
from histoforge.training.device import resolve_precision
from histoforge.training.model_files import read_model_info

TRAIN, VAL, TEST = 40, 20, 20


class Inputs(NamedTuple):
    """The inputs of the commands."""

    folder: Path
    patches: Path
    synthetic: Path
    model: Path
    images: np.ndarray


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Inputs:
    folder = tmp_path_factory.mktemp("similar")
    images = noise(TRAIN + VAL + TEST, 0)
    drawn = noise(40, 1)
    drawn[5], drawn[9] = images[12], drawn[2]
    write_set(folder / "patches", images, ["train"] * TRAIN + ["val"] * VAL + ["test"] * TEST)
    write_set(folder / "drawn", drawn, synthetic=True)
    (folder / "queries").mkdir()
    Image.fromarray(images[7]).save(folder / "queries" / "a.png")
    Image.fromarray(noise(1, 2, 128)[0][:64]).convert("L").save(folder / "queries" / "b <i>.tif")
    (folder / "queries" / "notes.txt").write_text("no image")
    return Inputs(folder, folder / "patches", folder / "drawn", save_random_guide(folder / "snn"), images)


@pytest.fixture(scope="module")
def similar_page(inputs) -> Path:
    from histoforge.cli import main

    page = inputs.folder / "out" / "similar.html"
    arguments = ["--query", inputs.folder / "queries", "--in", inputs.patches, "--model", inputs.model, "-k", 4]
    with pytest.raises(SystemExit) as ended:
        main(["similar", *map(str, [*arguments, "--out", page, "--cache", inputs.folder / "cache"])])
    assert ended.value.code == 0
    return page


@pytest.fixture(scope="module")
def duplicates_page(inputs) -> Path:
    from histoforge.cli import main

    page = inputs.folder / "out" / "duplicates.html"
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "duplicates",
                *map(str, ["--in", inputs.synthetic, "--of", inputs.patches, "--model", inputs.model, "--out", page]),
            ]
        )
    assert ended.value.code == 0
    return page


def test_the_numbers_name_the_matches_and_their_origin(inputs, similar_page):
    record = json.loads(similar_page.with_suffix(".json").read_text())
    assert record["guide"] == read_model_info(inputs.model).digest
    assert record["searched"] == TRAIN + VAL + TEST
    itself, other = record["queries"]
    first = {"similarity": pytest.approx(1, abs=1e-6), "class": "tumour", "same_pixels": True, "patient": "p-train"}
    assert itself["matches"][0] == {**first, "slide": "s1", "x": 7 * 32, "y": 0, "split": "train", "row": 7}
    assert [len(query["matches"]) for query in record["queries"]] == [4, 4]
    for query in record["queries"]:
        similarities = [match["similarity"] for match in query["matches"]]
        assert similarities == sorted(similarities, reverse=True)
        assert 0 <= query["median_similarity"] <= similarities[0] <= 1
    assert itself["note"] == ""
    assert other["note"] == "The image was cropped to its middle 32x32 px."


def test_the_similar_page_shows_queries_matches_and_gradcam(similar_page):
    page = Outline(similar_page.read_text())
    assert len(page.all("img")) == 2 * (2 + 4 + 4)
    assert all(picture["alt"] and picture["src"].startswith("data:image/") for picture in page.all("img"))
    for word in ("b <i>.tif", "the same pixels", "p-train", "0.5 um/px", "similar.json", "mft_snn"):
        assert word in page.text
    assert not any("src" in attributes for tag, attributes in page.tags if tag in ("script", "iframe"))


def test_without_gradcam_and_in_one_split(capsys, inputs, tmp_path):
    arguments = ("--in", inputs.patches, "--model", inputs.model, "-k", TEST, "--split", "test", "--no-gradcam")
    ended = call(
        capsys, "similar", "--query", inputs.folder / "queries" / "a.png", *arguments, "--out", tmp_path / "p.html"
    )
    assert ended.code == 0
    assert ended.out.startswith("The most similar patch has a similarity of 0.")
    (query,) = json.loads((tmp_path / "p.json").read_text())["queries"]
    assert sorted(match["row"] for match in query["matches"]) == list(range(TRAIN + VAL, TRAIN + VAL + TEST))
    assert len(Outline((tmp_path / "p.html").read_text()).all("img")) == 1 + TEST
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.html", "p.json"]


def test_the_cache_gives_the_same_page(capsys, inputs, similar_page, tmp_path):
    arguments = ("--query", inputs.folder / "queries", "--in", inputs.patches, "--model", inputs.model, "-k", 4)
    assert len(list((inputs.folder / "cache").glob("*.npy"))) == 1
    ended = call(capsys, "similar", *arguments, "--out", tmp_path / "similar.html", "--cache", inputs.folder / "cache")
    assert "80 read from" in ended.err
    assert (tmp_path / "similar.html").read_text() == similar_page.read_text()
    assert (tmp_path / "similar.json").read_text() == similar_page.with_suffix(".json").read_text()


def test_an_encoder_searches_in_its_own_space(capsys, inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOFORGE_CACHE", str(tmp_path / "cache"))
    file = write_encoder(tmp_path)
    arguments = [
        "--query",
        inputs.folder / "queries/a.png",
        "--in",
        inputs.patches,
        "--encoder",
        file,
        "-k",
        3,
        "--device",
        "cpu",
    ]
    assert call(capsys, "similar", *arguments, "--out", tmp_path / "page.html").code == 0
    record = json.loads((tmp_path / "page.json").read_text())
    cpu = torch.device("cpu")
    encoder = load_encoder(str(file), cpu, resolve_precision("auto", cpu))
    assert record["encoder"] == encoder.digest
    embeddings = torch.from_numpy(extract_features(encoder, inputs.images))
    nearest = torch.nn.functional.cosine_similarity(embeddings, embeddings[7:8]).argsort(descending=True)[:3]
    matches = record["queries"][0]["matches"]
    assert matches[0]["same_pixels"]
    assert [match["row"] for match in matches] == nearest.tolist()


def test_an_encoder_whose_weights_are_others_is_refused_in_one_sentence(capsys, inputs, tmp_path):
    file = write_encoder(tmp_path, sha256="0" * 64)
    arguments = ["--query", inputs.folder / "queries/a.png", "--in", inputs.patches, "--encoder", file, "-k", 3]
    refused = sentence(capsys, "similar", *arguments, "--out", tmp_path / "page.html")
    assert "weights.safetensors has the SHA-256" in refused
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("networks", [[], ["--model", "snn", "--encoder", "e.yaml"]])
def test_similar_takes_one_network(capsys, tmp_path, networks):
    arguments = ["similar", "--query", "q.png", "--in", "patches", *networks, "--out", tmp_path / "page.html"]
    assert "give either --model or --encoder" in sentence(capsys, *arguments)


def test_the_audit_names_rows_of_the_sets(duplicates_page):
    record = json.loads(duplicates_page.with_suffix(".json").read_text())
    assert record["copies"] == {"of_training": [[5, 12]], "of_held_out": [], "within": [[9, 2]]}
    assert (record["n_synthetic"], record["n_training"], record["n_held_out"]) == (40, TRAIN, VAL + TEST)
    assert record["verdict"] == "1 of 40 synthetic patches is an exact copy of a training patch."
    assert record["nearness"]["closest"][0] == {"synthetic": 5, "other": 12, "similarity": pytest.approx(1, abs=1e-6)}
    assert record["duplicates"] == record["copies"]["of_training"]
    assert 0 <= record["authenticity"] <= 1
    assert "similarities" not in record["nearness"]
    page = Outline(duplicates_page.read_text())
    assert record["verdict"] in page.text
    assert "40 held-out patches are few for a quantile of 0.99" in page.text
    assert record["views"] == 4
    assert "patients with held-out patches also have training patches" not in page.text
    assert "1. tumour: same pixels" in page.text
    assert len(page.all("img")) == 3 + 18 * 3 + len(record["within"]["closest"]) * 2


def test_patients_in_both_splits_give_a_warning(capsys, inputs, tmp_path):
    with PatchSetWriter.create(tmp_path / "mixed", CLASSES, (32, 32), 0.5) as writer:
        writer.add(inputs.images[:60], label=np.arange(60) % 2, patient=[f"p{index % 7}" for index in range(60)])
        writer.finish({"step": "test"}, split=["train"] * 30 + ["val"] * 30)
    arguments = ("--in", inputs.synthetic, "--of", tmp_path / "mixed", "--model", inputs.model, "--no-flips")
    assert call(capsys, "duplicates", *arguments, "--out", tmp_path / "p.html").code == 0
    assert "7 of 7 patients with held-out patches also have training patches" in (tmp_path / "p.html").read_text()
    assert json.loads((tmp_path / "p.json").read_text())["views"] == 1


@pytest.mark.parametrize(("scale", "side"), [(1.0, 20), (0.5, 10), (1.5, 30)])
def test_an_image_keeps_the_scale_of_the_patches_whatever_its_size(scale, side):
    image = np.zeros((60, 100, 3), np.uint8)
    image[20:40, 40:60] = 255  # 20 px at its own resolution
    for size in ((32, 32), (30, 50), (90, 150)):
        patch, _ = fit_to_patch(image, size, scale)
        assert patch.shape == (*size, 3)
        middle = patch[size[0] // 2, :, 0] > 127
        assert middle[max(0, size[1] // 2 - 20) : size[1] // 2 + 20].sum() == pytest.approx(side, abs=2)
    assert fit_to_patch(image, (60, 100))[1] == ""
    assert fit_to_patch(image, (60, 50))[1] == "The image was cropped to its middle 60x50 px."
    assert fit_to_patch(image, (64, 50))[1].endswith("middle 60x50 px and mirrored at its edges to 64x50 px.")
    assert fit_to_patch(np.zeros((5, 5, 3), np.uint8), (32, 48))[0].shape == (32, 48, 3)


def search(capsys, inputs, tmp_path, query, *more):
    arguments = ("--in", inputs.patches, "--model", inputs.model, "-k", 3, "--no-gradcam", *more)
    ended = call(capsys, "similar", "--query", query, *arguments, "--out", tmp_path / "p.html", "--overwrite")
    assert ended.code == 0, ended.err
    return json.loads((tmp_path / "p.json").read_text()), Outline((tmp_path / "p.html").read_text()).text


def test_a_query_of_known_resolution_finds_the_patch_that_it_shows(capsys, inputs, tmp_path):
    coarse = noise(1, 0, 32)[0].repeat(2, axis=0).repeat(2, axis=1)  # at 0.25 um/px; the patches have 0.5
    Image.fromarray(coarse).save(tmp_path / "fine.png")
    record, page = search(capsys, inputs, tmp_path, tmp_path / "fine.png", "--query-mpp", 0.25)
    assert record["queries"][0]["matches"][0] | {"row": 0, "same_pixels": True} == record["queries"][0]["matches"][0]
    assert "resized to 32x32 px, the patches' resolution" in record["queries"][0]["note"]
    assert "--query-mpp" not in page
    record, page = search(capsys, inputs, tmp_path, tmp_path / "fine.png")
    assert not record["queries"][0]["matches"][0]["same_pixels"]
    assert "A pixel of a query is assumed to be as large as a pixel of a patch" in page


def test_a_query_unlike_anything_in_the_set_gives_a_warning(capsys, inputs, tmp_path):
    (tmp_path / "queries").mkdir()
    Image.fromarray(inputs.images[3]).save(tmp_path / "queries" / "in-the-set.png")
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(tmp_path / "queries" / "red.png")
    record, page = search(capsys, inputs, tmp_path, tmp_path / "queries")
    assert {query["query"]: query["unlike_the_set"] for query in record["queries"]} == {
        "in-the-set.png": False,
        "red.png": True,
    }
    assert "Unlike anything in the set: red.png" in page
    assert 0 < record["unlike_below"] < 1


def sentence(capsys, *arguments: object) -> str:
    ended = call(capsys, *arguments)
    assert (ended.code, ended.out) == (2, "")
    return ended.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"--query": "nowhere.png"}, "There is no query "),
        ({"--query": "queries/notes.txt"}, "notes.txt cannot be read: it is not an image"),
        ({"--query": "snn"}, "has 0 images to search for"),
        ({"--in": "queries"}, "is not a patch set"),
        ({"--model": "patches"}, "is not a model"),
        ({"--model": "classifier"}, "is a classifier, but a guide is needed here"),
        ({"--model": "wide"}, "was trained on patches of 64x64 px, and the patch set"),
        ({"--model": "others"}, "was trained on the classes normal, tumour, and the patch set"),
        ({"--model": "stained", "--in": "plain"}, "the stain normalisation 'macenko', and the patch set"),
        ({"-k": 81}, "-k is 81, and there are 80 patches to choose from: give 1 to 80."),
        ({"-k": 0}, "-k is 0, and there are 80 patches"),
        ({"--in": "drawn", "--split": "val"}, "has no patches in its 'val' split"),
        ({"--out": "page.json"}, "ends in .html"),
        ({"--device": "tpu9"}, "there is no device 'tpu9'"),
        ({"--in": "unknown", "--query-mpp": 0.5}, "the resolution of the patches is not known: leave it out"),
    ],
    ids=str,
)
def test_each_error_of_similar_is_one_sentence(capsys, inputs, tmp_path, change, expected):
    save_random_guide(inputs.folder / "wide", size=64)
    save_random_guide(inputs.folder / "others", classes=["normal", "tumour"])
    save_random_guide(inputs.folder / "stained", stain="macenko")
    write_set(inputs.folder / "plain", inputs.images[:4], stain="none")
    shutil.copytree(inputs.model, inputs.folder / "classifier", dirs_exist_ok=True)
    write_kind(inputs.folder / "classifier", "classifier")
    with PatchSetWriter.create(inputs.folder / "unknown", CLASSES, (32, 32)) as writer:
        writer.add(inputs.images[:4], label=0)
        writer.finish({"step": "test"})
    arguments = {"--query": "queries/a.png", "--in": "patches", "--model": "snn", "-k": 4, "--out": tmp_path / "p.html"}
    arguments.update({"--out": tmp_path / change["--out"]} if "--out" in change else change)
    paths = {
        name: inputs.folder / value if name in ("--query", "--in", "--model") else value
        for name, value in arguments.items()
    }
    message = sentence(capsys, "similar", *(word for pair in paths.items() for word in pair))
    assert expected in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"--in": "patches", "--of": "drawn"}, "contains synthetic patches: give --in the synthetic set"),
        ({"--in": "patches"}, "contains real patches: give --in the synthetic set"),
        ({"--of": "untested"}, "has 0 patches in its val and test split"),
        ({"--in": "large"}, "has patches of 64x64 px, and "),
        ({"--of": "plain", "--model": "stained"}, "the stain normalisation 'macenko', and the patch set"),
        ({"--quantile": 1.5}, "--quantile is 1.5: give a value of at least 0.5 and below 1"),
        ({"--model": "patches"}, "is not a model"),
    ],
    ids=str,
)
def test_each_error_of_duplicates_is_one_sentence(capsys, inputs, tmp_path, change, expected):
    write_set(inputs.folder / "untested", inputs.images[:TRAIN])
    save_random_guide(inputs.folder / "stained", stain="macenko")
    write_set(inputs.folder / "plain", inputs.images[:4], ["train", "train", "test", "test"], stain="none")
    write_set(inputs.folder / "large", noise(4, 3, 64), synthetic=True)
    arguments = {"--in": "drawn", "--of": "patches", "--model": "snn", **change}
    paths = {name: value if name == "--quantile" else inputs.folder / value for name, value in arguments.items()}
    message = sentence(
        capsys, "duplicates", *(word for pair in paths.items() for word in pair), "--out", tmp_path / "p.html"
    )
    assert expected in message
    assert list(tmp_path.iterdir()) == []


def write_kind(model: Path, kind: str) -> None:
    info = read_model_info(model).model_copy(update={"kind": kind})
    (model / "model.json").write_text(info.sealed().model_dump_json())


@needs_browser
def test_the_pages_fit_a_phone_and_a_desktop(similar_page, duplicates_page, tmp_path):
    frames = measure([similar_page, duplicates_page], (320, 390, 1200), tmp_path)
    assert len(frames) == 6
    assert all(frame["scroll"] <= int(frame["width"]) for frame in frames)
    assert all(frame["loaded"] and frame["images"] >= 20 for frame in frames)
    assert not any(frame["cut_texts"] for frame in frames)


def test_real_images_find_the_patches_that_were_cut_from_them(capsys, tmp_path):
    files = sorted(shared_data("patches", "osteosarcoma10x", "viable_tumor").iterdir())[:40]
    whole = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    write_set(tmp_path / "patches", np.stack([fit_to_patch(image, (64, 64))[0] for image in whole]))
    (tmp_path / "queries").mkdir()
    for index in (3, 17, 31):
        height, width = whole[index].shape[:2]
        larger = Image.fromarray(whole[index]).resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
        larger.save(tmp_path / "queries" / f"{index:02d}.png")
    model = save_random_guide(tmp_path / "snn", size=64)
    queries = ("--query", tmp_path / "queries", "--query-mpp", 0.25)
    arguments = (*queries, "--in", tmp_path / "patches", "--model", model, "-k", 3)
    assert call(capsys, "similar", *arguments, "--out", tmp_path / "page.html").code == 0
    record = json.loads((tmp_path / "page.json").read_text())
    assert [query["matches"][0]["row"] for query in record["queries"]] == [3, 17, 31]
    assert all(query["matches"][0]["similarity"] > query["median_similarity"] for query in record["queries"])
