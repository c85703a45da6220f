"""Each component run through its Python function, on real artifacts, one after the other."""

import json
import math
import re
from importlib import import_module
from pathlib import Path

import pytest
from kfp import dsl
from tiny_study import SETTINGS, write_images

from histoforge.patches import PatchSet


class Run:
    """Calls components with artifacts in a folder, as an executor would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def artifact(self, kind, name):
        return kind(name=name, uri=str(self.folder / name / "data"))

    def call(self, name, outputs, **arguments):
        artifacts = {
            key: self.artifact(kind, f"{name}-{arguments.get('arm', arguments.get('rule', ''))}-{key}")
            for key, kind in outputs.items()
        }
        function = getattr(import_module(f"histoforge_components.{name}.component"), name).python_func
        artifacts["Output"] = function(
            **artifacts,
            **arguments,
            overrides={key: float(value) if type(value) is int else value for key, value in SETTINGS.items()},
        )
        return artifacts


METRICS = {"metrics": dsl.Metrics, "summary": dsl.Markdown}
FEW = {"train_classifier": {"model": dsl.Model, **METRICS}}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("components")
    source = write_images(folder / "images")
    run = Run(folder)
    scan = run.call("scan_source", METRICS, source=str(source))
    cut = run.call(
        "preprocess", {"patches": dsl.Dataset, "overviews": dsl.Dataset, **METRICS}, source=str(source), seed=3
    )
    patches = cut["patches"]
    baseline = run.call("train_classifier", FEW["train_classifier"], patches=patches, arm="baseline")
    generator = run.call(
        "train_generator", {"generator": dsl.Model, **METRICS}, patches=patches, extractor=baseline["model"]
    )
    selecting = {"selected": dsl.Dataset, "pool": dsl.Dataset, **METRICS}
    kept = run.call(
        "select_samples",
        selecting,
        patches=patches,
        extractor=baseline["model"],
        generator=generator["generator"],
        rule="entropy_centroid",
    )
    other = run.call(
        "select_samples", selecting, patches=patches, extractor=baseline["model"], pool_in=kept["pool"], rule="random"
    )
    arm = run.call(
        "train_classifier", FEW["train_classifier"], patches=patches, synthetic=kept["selected"], arm="selective"
    )
    evaluated = run.call(
        "evaluate",
        {"report": dsl.HTML, "results": dsl.Artifact, "classification": dsl.ClassificationMetrics, **METRICS},
        patches=patches,
        baseline=baseline["model"],
        arms=[arm["model"]],
        generator=generator["generator"],
        pool=kept["pool"],
        selected=kept["selected"],
        overviews=cut["overviews"],
    )
    return {
        "scan": scan,
        "cut": cut,
        "baseline": baseline,
        "generator": generator,
        "kept": kept,
        "other": other,
        "arm": arm,
        "evaluated": evaluated,
    }


def test_artifacts_say_what_they_are(artifacts):
    expected = {
        ("cut", "patches"): ("histoforge.patchset", 2),
        ("kept", "pool"): ("histoforge.patchset", 2),
        ("generator", "generator"): ("histoforge.model", 1),
        ("arm", "model"): ("histoforge.arm", 1),
    }
    for (task, name), (kind, version) in expected.items():
        metadata = artifacts[task][name].metadata
        assert metadata["format"] == kind
        assert metadata["schema_version"] == version
        assert metadata["code_version"]
        assert "seed" in metadata
    patches = PatchSet.open(Path(artifacts["cut"]["patches"].path))
    assert artifacts["cut"]["patches"].metadata["digest"] == patches.digest
    assert artifacts["cut"]["patches"].metadata["counts"] == patches.info.counts
    assert artifacts["cut"]["patches"].metadata["seed"] == 3


def test_metrics_are_numbers_that_are_finite_and_not_none_missing(artifacts):
    for task in artifacts.values():
        metrics = task["metrics"].metadata
        assert metrics
        assert all(isinstance(value, float) and math.isfinite(value) for value in metrics.values())
        assert 0 < metrics["task.peak_memory_gib"] < 64
        assert {"task.seconds", "task.cpu_seconds"} <= set(metrics)
        summary = Path(task["summary"].path).read_text()
        assert re.search(r"GiB of memory(\n+.*other [\d.]+ s)?$", summary.rstrip())
        json.dumps({name: artifact.metadata for name, artifact in task.items() if name != "Output"}, allow_nan=False)


def test_the_rules_choose_from_one_pool(artifacts):
    first, second = (PatchSet.open(Path(artifacts[task]["pool"].path)) for task in ("kept", "other"))
    assert (first.images() == second.images()).all()
    kept = [set(map(int, pool.index.index[pool.index["kept"]])) for pool in (first, second)]
    assert kept[0] != kept[1]


def test_summaries_are_markdown(artifacts):
    for task in artifacts.values():
        text = Path(task["summary"].path).read_text(encoding="utf-8")
        assert "|" in text
        assert len(text) < 50_000


def test_the_report_is_a_page_and_the_results_are_json(artifacts):
    assert (
        Path(artifacts["evaluated"]["report"].path)
        .read_text(encoding="utf-8")
        .lstrip()
        .lower()
        .startswith("<!doctype html>")
    )
    assert {"baseline", "selective"} <= set(
        str(json.loads(Path(artifacts["evaluated"]["results"].path).read_text())["arms"]).replace("'", " ").split()
    )


def test_the_confusion_matrix_counts_the_test_patches(artifacts):
    content = artifacts["evaluated"]["classification"].metadata["confusionMatrix"]
    total = sum(sum(row["row"]) for row in content["rows"])
    test = len(PatchSet.open(Path(artifacts["cut"]["patches"].path)).split("test"))
    assert total == 2 * test  # two seeds
    assert [spec["displayName"] for spec in content["annotationSpecs"]] == ["benign", "tumour"]


def test_a_task_whose_training_other_nodes_take_gets_no_gpu(tmp_path):
    run, source = Run(tmp_path), write_images(tmp_path / "images")
    artifacts = {key: run.artifact(kind, key) for key, kind in METRICS.items()}
    overrides = {**SETTINGS, "train_generator.nodes": 2.0, "train_classifier.nodes": 1.0}
    scan = import_module("histoforge_components.scan_source.component").scan_source.python_func
    outputs = scan(source=str(source), overrides=overrides, gpu_count="4", **artifacts)
    named = dict(zip(scan.__annotations__["return"]._fields, outputs, strict=True))
    assert (named["train_generator_gpus"], named["train_classifier_gpus"]) == ("0", "4")


def test_scan_source_gives_another_digest_for_another_file(artifacts, tmp_path):
    source = write_images(tmp_path / "images")
    run = Run(tmp_path)
    first = run.call("scan_source", METRICS, source=str(source))["Output"]
    assert first == run.call("scan_source", METRICS, source=str(source))["Output"]
    (source / "benign" / "p9-999.png").write_bytes(next((source / "benign").iterdir()).read_bytes())
    assert first != run.call("scan_source", METRICS, source=str(source))["Output"]


def test_a_user_error_ends_a_component_with_its_sentence_and_2(tmp_path, capfd):
    with pytest.raises(SystemExit) as ended:
        Run(tmp_path).call("scan_source", METRICS, source=str(tmp_path / "nowhere"))
    assert ended.value.code == 2
    content = capfd.readouterr().err.strip().splitlines()
    assert "nowhere" in content[-1]
