"""The cases: every command ends well, or with one sentence and code 2, whatever its input files contain.

`test_fuzz.py` runs this module in a separate process, with bounds on time and memory; `make fuzz` with more cases.
"""

import contextlib
import faulthandler
import io
import os
import resource
import shutil
import string
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fuzz_artifacts
import pytest
from fuzz_mutations import RAW, Mutation, binaries, documents, headers, texts
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from histoforge.cli import main

TIMES = int(os.environ.get("HISTOFORGE_FUZZ", "1"))
"""Factor on the number of cases of the test suite; above 1, each run draws other cases."""
HANGS_AFTER_SECONDS = 150
MEMORY_BYTES = 8 << 30
PAGE = resource.getpagesize()


def cases(count: int) -> settings:
    """The settings of a test of so many cases."""
    return settings(
        max_examples=count * TIMES, derandomize=TIMES == 1, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def bounded() -> None:
    """Limit the memory of the cases."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts")
    fuzz_artifacts.make_all(folder)
    return folder


@contextlib.contextmanager
def copy_of(artifacts: Path, *names: str) -> Iterator[Path]:
    """A folder with copies of some of the artifacts."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        for name in names:
            source = artifacts / name
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, folder / name)
        yield folder


WARNINGS = ("has no digest", "the next publication or rollback writes it anew")
"""Lines that are allowed besides the error, for files that are read nevertheless."""


def check(*arguments: object, quiet: bool = True) -> int:
    """Run a command: it must end with 0, or with 2 and a sentence as the last line of standard error.

    Args:
        arguments: the command's.
        quiet: whether the sentence must be the only line, as of a command that shows no progress.
    """
    out, err = io.StringIO(), io.StringIO()
    faulthandler.dump_traceback_later(HANGS_AFTER_SECONDS, exit=True, file=sys.__stderr__)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main([str(argument) for argument in arguments])
        code: object = 0
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        faulthandler.cancel_dump_traceback_later()
    lines = [line for line in err.getvalue().splitlines() if not any(warning in line for warning in WARNINGS)]
    assert code in (0, 2), (code, err.getvalue())
    assert "Traceback" not in err.getvalue(), err.getvalue()
    if code == 2:
        assert lines, "no sentence"
        assert 15 < len(lines[-1]) < 2000 + sum(len(str(argument)) for argument in arguments), lines[-1]
        assert not quiet or len(lines) == 1, err.getvalue()
    return int(code)


def damaged(
    artifacts: Path, artifact: str, file: str, mutation: Mutation, *arguments: str, reseal: bool = False
) -> None:
    """Change one file of one artifact, and run a command on it: '{}' in the arguments is the folder."""
    needed = {artifact, *(name for name in ("patches", "query.png") if any(name in text for text in arguments))}
    with copy_of(artifacts, *needed) as at:
        mutation.apply(at / artifact / file if file else at / artifact)
        if reseal:
            fuzz_artifacts.reseal(at / artifact)
        check(*(argument.format(at) for argument in arguments))


DOCUMENTS = {
    "patch set": ("patches", "patchset.json", "inspect", "{}/patches"),
    "arm": ("arm", "arm.json", "inspect", "{}/arm"),
    "model": ("arm", "seed-0/model.json", "inspect", "{}/arm/seed-0"),
    "scores": ("scores", "scores.json", "inspect", "{}/scores"),
    "image scores": ("image_scores", "image_scores.json", "inspect", "{}/image_scores"),
    "latents": ("latents", "latents.json", "inspect", "{}/latents"),
    "predictions": ("predictions", "predictions.json", "inspect", "{}/predictions"),
    "datasheet": ("export", "datasheet.json", "inspect", "{}/export"),
    "pictures": ("pictures", "pictures.json", "inspect", "{}/pictures"),
    "guide": ("guide", "model.json", "similar", "--query", "{}/query.png", "--in", "{}/patches", "--model", "{}/guide",
              "--out", "{}/page.html", "--no-gradcam"),
    "generator": ("generator", "model.json", "join-generators", "--generators", "{}/generator", "--out", "{}/joined"),
    "history": ("generator", "history.json", "join-generators", "--generators", "{}/generator", "--out", "{}/joined"),
}  # fmt: skip
BINARIES = {
    "index": ("patches", "index.parquet", "inspect", "{}/patches"),
    "images": ("patches", "images/00000.npy", "inspect", "{}/patches"),
    "weights": ("arm", "seed-0/model.safetensors", "inspect", "{}/arm/seed-0"),
    "guide's weights": ("guide", "model.safetensors", *DOCUMENTS["guide"][2:]),
}


@pytest.mark.parametrize("kind", [*DOCUMENTS, *BINARIES])
def test_intact_files_are_accepted(artifacts: Path, kind: str) -> None:
    artifact, _, *arguments = {**DOCUMENTS, **BINARIES}[kind]
    with copy_of(artifacts, artifact, *({"patches", "query.png"} - {artifact})) as at:
        assert check(*(argument.format(at) for argument in arguments), quiet=False) == 0
        fuzz_artifacts.reseal(at / artifact)
        again = [argument.replace("{}/joined", "{}/again").format(at) for argument in arguments]
        assert check(*again, quiet=False) == 0


@pytest.mark.parametrize("kind", DOCUMENTS)
@cases(14)
@given(mutation=documents(), reseal=st.booleans())
def test_a_document(artifacts: Path, kind: str, mutation: Mutation, reseal: bool) -> None:
    artifact, file, *arguments = DOCUMENTS[kind]
    damaged(artifacts, artifact, file, mutation, *arguments, reseal=reseal)


EARLIER_FAILURES = [
    ("arm", Mutation("a value", 0.71875, None)),
    ("generator", Mutation("a value", 0.5390625, None)),
    ("history", Mutation("a dead link", 0.0)),
]
"""Failures of earlier runs, at positions that another release may have moved."""


@pytest.mark.parametrize(("kind", "mutation"), EARLIER_FAILURES)
def test_earlier_failures(artifacts: Path, kind: str, mutation: Mutation) -> None:
    artifact, file, *arguments = DOCUMENTS[kind]
    damaged(artifacts, artifact, file, mutation, *arguments)


@pytest.mark.parametrize("kind", BINARIES)
@cases(9)
@given(mutation=st.one_of(binaries(), headers()), reseal=st.booleans())
def test_a_binary(artifacts: Path, kind: str, mutation: Mutation, reseal: bool) -> None:
    artifact, file, *arguments = BINARIES[kind]
    damaged(artifacts, artifact, file, mutation, *arguments, reseal=reseal)


@pytest.mark.parametrize("command", ["list", "show", "pull"])
@cases(14)
@given(mutation=documents(), position=st.integers(0, 100))
def test_the_store(artifacts: Path, command: str, mutation: Mutation, position: int) -> None:
    with copy_of(artifacts, "store") as at:
        files = sorted(path for path in (at / "store").rglob("*.json"))
        mutation.apply(files[position % len(files)])
        more = ("--out", at / "out") if command == "pull" else ()
        check("models", command, fuzz_artifacts.NAME, *more, "--models", at / "store", quiet=command != "pull")
        check("models", "list", "--models", at / "store")


@cases(12)
@given(mutation=st.one_of(binaries(), headers()))
def test_a_checkpoint(artifacts: Path, mutation: Mutation) -> None:
    from histoforge.core.errors import HistoforgeError
    from histoforge.training.state import load_state, save_state

    with tempfile.TemporaryDirectory() as name:
        import torch

        file = Path(name) / "checkpoint"
        save_state(file, {"a": torch.ones(3), "b": [1, (2.5, None)], 3: {"c": "x"}})
        mutation.apply(file)
        with contextlib.suppress(HistoforgeError):
            load_state(file)


@pytest.mark.parametrize("name", ["slides/a.geojson", "imagescope.xml", "asap.xml"])
@cases(30)
@given(data=st.data())
def test_an_annotation(artifacts: Path, name: str, data: st.DataObject) -> None:
    from histoforge.core.errors import HistoforgeError
    from histoforge.slides import open_slide, read_annotations

    mutation = data.draw(documents() if name.endswith("geojson") else texts())
    with tempfile.TemporaryDirectory() as folder, open_slide(artifacts / "slides" / "a.tiff") as slide:
        file = Path(folder, Path(name).name)
        shutil.copyfile(artifacts / name, file)
        mutation.apply(file)
        with contextlib.suppress(HistoforgeError):
            read_annotations(file, slide, ["benign", "tumour"])


TILES = ("--preset", "", "--mpp", "0.5", "--overview-size", "32", "--workers", "1", "--min-tissue", "0")
SOURCES = {
    "a slide": ("slides", "a.tiff", binaries() | headers()),
    "an annotation": ("slides", "a.geojson", documents()),
    "a table of slides": ("slides", "slides.csv", texts()),
    "a table of images": ("images", "labels.csv", texts()),
    "a PNG": ("images", "benign/0.png", binaries() | headers(0.3)),
    "a JPEG": ("images", "tumour/1.jpg", binaries() | headers(0.3)),
    "a TIFF": ("images", "benign/2.tif", binaries() | headers(0.1)),
    "a deep TIFF": ("images", "tumour/deep.tif", binaries() | headers(0.1)),
    "a GIF": ("images", "tumour/3.gif", binaries() | headers(0.3)),
    "images of HDF5": ("pcam", "camelyonpatch_level_2_split_train_x.h5", binaries() | headers(0.6)),
    "labels of HDF5": ("pcam", "camelyonpatch_level_2_split_train_y.h5", binaries() | headers(0.9)),
    "a table of HDF5": ("pcam", "camelyonpatch_level_2_split_test_meta.csv", texts()),
}


@pytest.mark.parametrize("source", ["slides", "images", "pcam"])
def test_an_intact_source_is_accepted(artifacts: Path, source: str, tmp_path: Path) -> None:
    assert preprocess(artifacts / source, tmp_path / "out") == 0


@pytest.mark.parametrize("kind", SOURCES)
@cases(7)
@given(data=st.data())
def test_a_source(artifacts: Path, kind: str, data: st.DataObject) -> None:
    source, file, mutations = SOURCES[kind]
    mutation = data.draw(mutations)
    with copy_of(artifacts, source) as at:
        mutation.apply(at / source / file)
        preprocess(at / source, at / "out")


def preprocess(source: Path, out: Path, *more: object) -> int:
    """Cut a source into patches."""
    size = "64" if source.name == "slides" else "16"
    return check("preprocess", "--source", source, "--out", out, *TILES, "--patch-size", size, *more, quiet=False)


@pytest.fixture(scope="session")
def cuts(artifacts: Path) -> Path:
    """The slides, cut."""
    arguments = (*TILES, "--patch-size", "64", "--out", artifacts / "cuts")
    assert check("cut-slides", "--source", artifacts / "slides", *arguments, quiet=False) == 0
    return artifacts


@pytest.mark.parametrize("file", ["cuts.json", "*/cut.json", "*/patches/plan.parquet", "*/patches/images.npy"])
@cases(3)
@given(data=st.data())
def test_a_slide_that_was_cut(cuts: Path, file: str, data: st.DataObject) -> None:
    mutation = data.draw(documents() if file.endswith("json") else binaries() | headers())
    with copy_of(cuts, "cuts") as at:
        mutation.apply(sorted((at / "cuts").glob(file))[0])
        check("inspect", at / "cuts")
        preprocess(cuts / "slides", at / "out", "--cuts", at / "cuts")


FOREIGN = {"an origin": ("foreign", "origin.yaml"), "a table": ("foreign", "labels.csv")}


@pytest.mark.parametrize("kind", ["intact", *FOREIGN])
@cases(7)
@given(mutation=texts())
def test_images_of_somebody_else(artifacts: Path, kind: str, mutation: Mutation) -> None:
    with copy_of(artifacts, "foreign", "patches") as at:
        if kind != "intact":
            mutation.apply(at.joinpath(*FOREIGN[kind]))
        inputs = ("--source", at / "foreign", "--patches", at / "patches", "--fit", "shrink")
        code = check("import-patches", *inputs, "--out", at / "out", quiet=False)
        assert kind != "intact" or code == 0


@cases(14)
@given(mutation=texts())
def test_the_file_of_an_encoder(artifacts: Path, mutation: Mutation) -> None:
    with copy_of(artifacts, "encoder", "patches", "query.png") as at:
        mutation.apply(at / "encoder" / "encoder.yaml")
        query = ("--query", at / "query.png", "--in", at / "patches", "--encoder", at / "encoder" / "encoder.yaml")
        check("similar", *query, "--out", at / "page.html", quiet=False)


EVALUATION = ("--preset", "", "--set", "resamples=100", "--set", "map_patches=10", "--set", "neighbours=2")
READERS = {
    "an arm": ("arm", "arm.json"),
    "a model of an arm": ("arm", "seed-0/model.json"),
    "weights of an arm": ("arm", "seed-0/model.safetensors"),
    "a generator": ("generator", "model.json"),
    "a generator's weights": ("generator", "model.safetensors"),
    "a history": ("generator", "history.json"),
    "patches": ("patches", "patchset.json"),
    "an index": ("patches", "index.parquet"),
}


@pytest.mark.skipif(TIMES == 1, reason="a second each; make fuzz runs them")
@pytest.mark.parametrize("kind", READERS)
@cases(1)
@given(data=st.data(), reseal=st.booleans())
def test_inputs_of_evaluate(artifacts: Path, kind: str, data: st.DataObject, reseal: bool) -> None:
    artifact, file = READERS[kind]
    mutation = data.draw(documents() if file.endswith("json") else binaries() | headers())
    with copy_of(artifacts, "arm", "generator", "patches") as at:
        mutation.apply(at / artifact / file)
        if reseal:
            fuzz_artifacts.reseal((at / artifact / file).parent)
        evaluate(at)


@pytest.mark.skipif(TIMES == 1, reason="a second each; make fuzz runs them")
def test_intact_inputs_are_evaluated(artifacts: Path) -> None:
    with copy_of(artifacts, "arm", "generator", "patches") as at:
        assert evaluate(at) == 0


def evaluate(at: Path) -> int:
    """Evaluate an arm with a generator."""
    inputs = ("--patches", at / "patches", "--arm", at / "arm", "--generator", at / "generator")
    return check("evaluate", *inputs, "--out", at / "out", *EVALUATION, quiet=False)


ASSIGNMENTS = st.one_of(
    st.sampled_from([
        "2024-13-45", "2024-01-31", "12:30:45", "1:2", "!!python/object:os.system x", "!!set {a}", "!!binary aGk=",
        "&a [*a]", "*a", "{1: 2}", "[1, 2", "'", '"', "~", "null", "yes", ".inf", "-.inf", ".nan", "1e999", "9" * 400,
        "9" * 5000, "0x1F", "0b1", "1_000", "[" * 9000, "{a: " * 3000, "- " * 3000, "? a", "%TAG",
        "@x", "`x`", "a: b: c", "\t", "\0", "\x85", "é", "\ud800", "",
    ]),
    st.text(max_size=20),
    st.floats().map(str),
    st.integers().map(str),
)  # fmt: skip


@cases(60)
@given(
    name=st.sampled_from(["epochs", "learning_rate", "backbone", "seeds", "seed", "device", "precision", "weights"]),
    value=ASSIGNMENTS,
)
def test_a_value_by_set(artifacts: Path, name: str, value: str) -> None:
    check(
        "train-classifier",
        "--patches",
        artifacts / "none",
        "--out",
        artifacts / "none",
        "--preset",
        "",
        "--set",
        f"{name}={value}",
    )


@cases(40)
@given(
    name=st.sampled_from(
        ["patch-size", "mpp", "split-ratios", "classes", "stain", "level", "overview-size", "source", "kind"]
    ),
    value=ASSIGNMENTS,
)
def test_a_value_of_an_option(artifacts: Path, name: str, value: str) -> None:
    assume(name != "source" or not _exists(value))
    source = () if name == "source" else ("--source", artifacts / "none")
    check("preprocess", *source, "--out", artifacts / "none", "--preset", "", f"--{name}={value}")


def _exists(value: str) -> bool:
    """Return True if a location is a folder of this machine that is not meant to be read."""
    try:
        return Path(os.path.expanduser(value)).exists()
    except (OSError, ValueError):
        return False


@cases(30)
@given(mutation=texts() | st.builds(lambda raw: Mutation("instead", 0.0, raw), st.sampled_from(list(RAW))))
def test_a_settings_file(artifacts: Path, mutation: Mutation) -> None:
    with copy_of(artifacts, "settings.yaml") as at:
        mutation.apply(at / "settings.yaml")
        check(
            "train-classifier",
            "--patches",
            at / "none",
            "--out",
            at / "out",
            "--preset",
            "",
            "--config",
            at / "settings.yaml",
        )


ARGUMENTS = """
inspect models list show presets run preprocess similar --source --out --set --preset demo --help
--version --models -k x a=b --seed -1 ~nobody/x ~nosuchuser/x s3:// s3://b/p file:// http://x/y
/dev/null * - --
""".split()  # noqa: SIM905 - a list of words


@cases(25)
@given(arguments=st.lists(st.sampled_from([*ARGUMENTS, "", "\0", "x" * 400]), max_size=7))
def test_a_command_line(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        check(*arguments, quiet=False) if arguments and set(arguments[0]) <= set(string.ascii_lowercase) else None
