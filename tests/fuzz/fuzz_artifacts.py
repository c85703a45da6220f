"""A minimal artifact of each kind that commands read."""

# ruff: noqa: E402 - the folders of some modules have to be added first

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "models"), str(TESTS / "reports")]

from made_up_images import DRAWN, make_images
from made_up_scores import make_scores
from published import NAME, publish
from tiny_encoders import write_encoder
from tiny_guide import noise, save_random_guide, write_set

from histoforge.autoencoder.latents import COLUMNS, INDEX_NAME, LATENTS_NAME
from histoforge.cli import main
from histoforge.core.digests import digest_file, digest_json
from histoforge.core.files import write_json
from histoforge.core.seals import sealed, write_sealed
from histoforge.models import ModelStore
from histoforge.patches import PatchSet
from histoforge.storage import open_location

SQUARE = [[0, 0], [128, 0], [128, 256], [0, 256], [0, 0]]
CLASSIFIER = ("--backbone", "resnet10", "--stem", "small", "--width", "0.125", "--epochs", "1", "--seeds", "1")
GENERATOR = ("--method", "dcgan", "--epochs", "1", "--epoch-steps", "1", "--batch-size", "4")


def make_all(folder: Path) -> None:
    """Make everything below `folder`."""
    splits = ["train"] * 8 + ["val"] * 4 + ["test"] * 4
    write_set(folder / "patches", noise(16, 0), splits)
    save_random_guide(folder / "guide")
    Image.fromarray(noise(1, 5)[0]).save(folder / "query.png")
    patches = ("--patches", str(folder / "patches"), "--preset", "")
    run("train-classifier", *patches, "--out", str(folder / "arm"), *CLASSIFIER)
    maps = ("--set", "train_generator.dcgan.generator_maps=8", "--set", "train_generator.dcgan.discriminator_maps=8")
    run("train-generator", *patches, "--out", str(folder / "generator"), *GENERATOR, *maps)
    (folder / "scores").mkdir()
    write_json(folder / "scores" / "scores.json", make_scores("dcgan", 0).model_dump(mode="json"))
    (folder / "image_scores").mkdir()
    images = make_images("tracking", DRAWN["tracking"])
    write_json(folder / "image_scores" / "image_scores.json", images.model_dump(mode="json"))
    _described(folder)
    store = ModelStore(open_location(str(folder / "store")), NAME)
    for worth in (0.5, 0.7):
        publish(store, folder / f"version-{worth}", worth)
    _sources(folder)


def _write_latents(patches: Path, folder: Path) -> None:
    """Latents of zeros."""
    patch_set = PatchSet.open(patches)
    folder.mkdir()
    np.save(folder / LATENTS_NAME, np.zeros((len(patch_set), 1, 2, 4, 4), np.float16))
    patch_set.index[COLUMNS].to_parquet(folder / INDEX_NAME, index=False)
    files = {name: digest_file(folder / name) for name in (LATENTS_NAME, INDEX_NAME)}
    identities = {"patches": patch_set.digest, "autoencoder": "0" * 64}
    info = {"classes": patch_set.classes, "patch_size": [32, 32], "factor": 8, "fold": -1, "digests": identities}
    write_sealed(folder / "latents.json", {**info, "files": files, "code_version": "1.0"}, 1)


def _described(folder: Path) -> None:
    """Folders that a file describes: predictions, latents, an export, pictures, images of somebody else, an encoder."""
    (folder / "predictions").mkdir()
    predictions = {"summary": {"slides": 1}, "cutting": {"mpp": 0.5}, "config": {"source": "slides"}}
    write_sealed(folder / "predictions" / "predictions.json", predictions, 1)
    _write_latents(folder / "patches", folder / "latents")
    run("export", str(folder / "patches"), "--out", str(folder / "export"))
    generator = ("--model", str(folder / "generator"), "--class", "benign", "--count", "2")
    run("generate", *generator, "--out", str(folder / "pictures"), "--device", "cpu")
    rows = []
    for name in ("benign", "tumour"):
        (folder / "foreign" / name).mkdir(parents=True)
        Image.fromarray(noise(1, 7)[0]).save(folder / "foreign" / name / "1.png")
        rows.append(f"{name}/1.png,{name}\n")
    (folder / "foreign" / "labels.csv").write_text("path,label\n" + "".join(rows))
    (folder / "foreign" / "origin.yaml").write_text("name: lab\nlicence: CC0\nmpp: 0.5\nclasses: {tumor: tumour}\n")
    write_encoder(folder / "encoder")


def run(*arguments: str) -> None:
    """Run a command that must end well."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert not ended.value.code, arguments


def reseal(folder: Path) -> None:
    """Update the digests of an artifact, so that its content is read."""
    for name in (
        "patchset.json",
        "model.json",
        "arm.json",
        "scores.json",
        "image_scores.json",
        "history.json",
        "guide.json",
        "latents.json",
        "predictions.json",
    ):
        file = folder / name
        try:
            document = json.loads(file.read_bytes())
            if name == "patchset.json":
                document["files"] = {inner: digest_file(folder / inner) for inner in document["files"]}
                identity = {key: document[key] for key in document if key not in ("digest", "images_location")}
                document["digest"] = digest_json(identity)
            elif name == "model.json":
                from histoforge.training.model_files import ModelInfo

                document["weights"] = digest_file(folder / "model.safetensors")
                document["digest"] = ModelInfo(**{**document, "digest": ""}).compute_digest()
                document = sealed(document, 1, "seal")
            else:
                document = sealed(document, 1)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
        file.write_text(json.dumps(document))


def _sources(folder: Path) -> None:
    """Sources of each kind: slides with annotations and a table, folders of images with a table, PatchCamelyon."""
    slides = folder / "slides"
    slides.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c", "d"):
        image = rng.integers(60, 200, (256, 256, 3), np.uint8)
        tifffile.imwrite(
            slides / f"{name}.tiff",
            image,
            tile=(128, 128),
            photometric="rgb",
            compression="jpeg",
            metadata=None,
            resolution=(2e4, 2e4),
            resolutionunit="CENTIMETER",
        )
        (slides / f"{name}.geojson").write_text(json.dumps(_features()))
    (slides / "slides.csv").write_text("slide,patient,mpp\n" + "".join(f"{n},p{n},0.5\n" for n in "abcd"))
    for name, text in (("imagescope.xml", _imagescope()), ("asap.xml", _asap())):
        (folder / name).write_text(text)
    images = folder / "images"
    for label in ("benign", "tumour"):
        (images / label).mkdir(parents=True)
    rows = []
    for number, (kind, mode) in enumerate(
        [("png", "RGB"), ("jpg", "L"), ("tif", "RGB"), ("gif", "P"), ("bmp", "RGB")] * 2
    ):
        path = Path("tumour" if number % 2 else "benign", f"{number}.{kind}")
        picture = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).convert(mode)
        picture.save(images / path)
        rows.append(f"{path},{path.parent},p{number}\n")
    tifffile.imwrite(images / "tumour" / "deep.tif", rng.integers(0, 65536, (32, 32, 3), np.uint16), photometric="rgb")
    (images / "labels.csv").write_text("path,label,patient\n" + "".join(rows))
    pcam = folder / "pcam"
    pcam.mkdir()
    for split in ("train", "valid", "test"):
        for array, content in (("x", rng.integers(0, 256, (4, 16, 16, 3), np.uint8)), ("y", np.array([0, 1, 0, 1]))):
            with h5py.File(pcam / f"camelyonpatch_level_2_split_{split}_{array}.h5", "w") as file:
                file[array] = content
        (pcam / f"camelyonpatch_level_2_split_{split}_meta.csv").write_text(
            "coord_x,wsi\n" + "".join(f"0,{split}-{n // 2}\n" for n in range(4))
        )
    settings = {
        "train_classifier": {"epochs": 2, "learning_rate": 1e-3, "backbone": "resnet10"},
        "evaluate": {"resamples": 100},
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))


def _features() -> list[object]:
    hole = [[10, 10], [15, 10], [15, 15], [10, 10]]
    halves = (("benign", [SQUARE, hole]), ("tumour", [[[x + 128, y] for x, y in SQUARE]]))
    return [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": rings},
            "properties": {"objectType": "annotation", "classification": {"name": name, "color": [1, 2, 3]}},
        }
        for name, rings in halves
    ]


def _corners(name: str) -> str:
    return "".join(f'<{name} Order="{order}" X="{x}" Y="{y}"/>' for order, (x, y) in enumerate(SQUARE))


def _imagescope() -> str:
    regions = "".join(
        f'<Region Type="{kind}" NegativeROA="{hole}"><Vertices>{_corners("Vertex")}</Vertices></Region>'
        for kind, hole in (("0", "0"), ("0", "1"))
    )
    return f'<Annotations><Annotation Name="tumour"><Regions>{regions}</Regions></Annotation></Annotations>'


def _asap() -> str:
    group = '<Annotation Type="Polygon" PartOfGroup="tumour">'
    inner = f"{group}<Coordinates>{_corners('Coordinate')}</Coordinates></Annotation>"
    return f"<ASAP_Annotations><Annotations>{inner}</Annotations></ASAP_Annotations>"
