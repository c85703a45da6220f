"""Fixtures of the backend tests: an installation, and tiny runs whose artifacts other tests use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from backend.installation import ROOT, Installation, install_wheel
from backend.runners import InProcess
from backend.tiny_latents import score_tiny_images, train_latent_generator
from backend.workflow import Pipeline, Run
from kfp.compiler import Compiler
from tiny_diffusers import save_ddpm
from tiny_study import CLASSES, LEADERBOARD, SETTINGS, write_images

from histoforge.phantom.slides import draw_slides


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The project's wheel in an environment of its own."""
    return install_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The object store of all runs."""
    return tmp_path_factory.mktemp("objects")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of all runs."""
    return write_images(tmp_path_factory.mktemp("source") / "images")


@pytest.fixture(scope="session")
def start(objects: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs a pipeline of the project in this process; arguments that are given replace those here."""

    def run(name: str, **arguments: Any) -> Run:
        pipeline = Pipeline.load(ROOT / "pipelines" / f"{name}.yaml")
        given = {"source": str(images), "preset": "", "overrides": SETTINGS, **arguments}
        return Run(pipeline, InProcess(), tmp_path_factory.mktemp(name), objects).start(given)

    return run


@pytest.fixture(scope="session")
def sources(images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The settings of the steps that read what somebody else made: synthetic images, a generator, and slides."""
    generator, slides = tmp_path_factory.mktemp("foreign") / "ddpm", tmp_path_factory.mktemp("slides")
    for seed, name in enumerate(CLASSES):
        save_ddpm(generator / name, seed)
    draw_slides(slides, patients=1, size_px=768)
    return {
        "import_patches.source": str(images),
        "import_patches.fit": "shrink",
        "import_generator.source": str(generator),
        "import_generator.fit": "shrink",
        "import_generator.steps": 2,
        "predict.source": str(slides),
        "predict.mpp": 1.0,
    }


@pytest.fixture(scope="session")
def study(start: Any) -> Run:
    """A run of selective_augmentation."""
    return start("selective_augmentation")


@pytest.fixture(scope="session")
def guided(start: Any) -> Run:
    """A run of rleo with a guided and an unguided method, whose classes are trained side by side."""
    return start("rleo", overrides=LEADERBOARD, methods=["rleo:literal", "dcgan"], generator_seeds=1)


@pytest.fixture(scope="session")
def fractions(start: Any) -> Run:
    """A run of augmentation_study: arms of several ratios, and of a part of the training patches."""
    return start("augmentation_study", ratios=[0.5, 1], pool_multiples=[2], fractions=[0.5])


@pytest.fixture(scope="session")
def locations(study: Run, guided: Run, fractions: Run, objects: Path) -> dict[str, Any]:
    """The location of an artifact, or of a list of them, for each input of the components."""
    names = ("baseline", "selective", "generator", "pool", "selected")
    outputs: dict[str, Any] = {name: study.output(name) for name in ("patches", "overviews")}
    outputs |= {name: study.outputs(name)[0] for name in names}
    drawn, scored = score_tiny_images(objects, outputs), guided.locations_of("name", "scores")
    return {
        **outputs,
        **train_latent_generator(objects, outputs["patches"]),
        "cuts": study.locations_of("shard", "cuts"),
        "image_scores": [drawn],
        "enlarged_scores": [drawn],
        "tracked_scores": drawn,
        "traditional": study.outputs("real_arms")[0],
        "real_arms": study.outputs("real_arms")[1:],
        "gans": study.outputs("gan"),
        "single_filters": study.outputs("single_filter"),
        "pools": study.outputs("pool"),
        "baselines": guided.outputs("both")[:1],
        "selectives": guided.outputs("both")[1:],
        "backbones": guided.outputs("arms")[:1],
        "networks": guided.outputs("arms")[1:],
        "extractor": outputs["baseline"],
        "challenger": outputs["selective"],
        "challengers": study.outputs("selective"),
        "synthetic": outputs["selected"],
        "candidates": outputs["selected"],
        "model": outputs["baseline"],
        "pool_in": outputs["pool"],
        "results": study.output("metrics"),
        "guide": guided.output("guide"),
        "generators": guided.locations_of("only_class", "generator")[:2],
        "scores": scored,
        "generator_scores": scored,
        "overview_scores": scored,
        **{f"{alignment}_scores": scored[0] for alignment in ("unaligned", "prompted", "full")},
        "arms": fractions.outputs("cells"),
        "fraction_baselines": fractions.outputs("fraction_baselines"),
        "fraction_selectives": fractions.outputs("fraction_selectives"),
    }


@pytest.fixture
def compiled(tmp_path: Path) -> Any:
    """Compiles a pipeline function and reads it back."""

    def load(function: Any) -> Pipeline:
        Compiler().compile(function, str(tmp_path / "compiled.yaml"))
        return Pipeline.load(tmp_path / "compiled.yaml")

    return load


@pytest.fixture
def run(compiled: Any, objects: Path, tmp_path: Path) -> Any:
    """Runs a pipeline function in this process."""

    def start_run(function: Any, arguments: Mapping[str, Any] | None = None, retry_policy: str = "OnError") -> Run:
        return Run(compiled(function), InProcess(), tmp_path / "run", objects, retry_policy).start(arguments or {})

    return start_run
