"""The overrides of a pipeline, those of each step, and the outputs of `scan_source`."""

import pytest
from histoforge_components.scan_source.component import scan_source as component
from kfp import dsl
from tiny_encoders import write_encoder
from tiny_study import write_images

from histoforge.steps.settings import step_config, step_overrides
from histoforge.steps.table import STEPS

SCANNED = [step.name for step in STEPS.values() if step.separate_overrides]

OVERRIDES = {
    "device": "cpu",
    "precision": "float32",
    "preprocess.source": "s3://bucket/slides",
    "preprocess.patch_size": "32",
    "train_generator.method": "dcgan",
    "train_generator.epochs": 3.0,
    "train_generator.dcgan.batch_size": 8.0,
    "train_generator.histogan.batch_size": 4.0,
    "train_classifier.epochs": 5,
    "publish_model.licence": "CC-BY-4.0",
}


@pytest.mark.parametrize("preset", ["", "quickstart", "sane"])
@pytest.mark.parametrize("name", SCANNED)
def test_a_step_is_set_the_same_by_its_separate_overrides_as_by_all(name, preset):
    separate_overrides = step_overrides(STEPS[name], OVERRIDES)
    assert step_config(STEPS[name], preset, separate_overrides) == step_config(STEPS[name], preset, OVERRIDES)


def test_a_step_gets_its_own_names_and_those_that_it_shares():
    assert step_overrides(STEPS["preprocess"], OVERRIDES) == {
        "preprocess.source": "s3://bucket/slides",
        "preprocess.patch_size": "32",
    }
    assert set(step_overrides(STEPS["train_classifier"], OVERRIDES)) == {
        "device",
        "precision",
        "train_classifier.epochs",
    }


def test_scan_source_returns_the_overrides_of_each_step(tmp_path):
    outputs = {
        name: kind(name=name, uri=str(tmp_path / name / "data"))
        for name, kind in (("metrics", dsl.Metrics), ("summary", dsl.Markdown))
    }
    source = str(write_images(tmp_path / "images"))
    given = {name: value for name, value in OVERRIDES.items() if name != "preprocess.source"}
    values = component.python_func(source=source, overrides=given, **outputs)
    names = [name for name in component.component_spec.outputs if name not in outputs]
    returned = dict(zip(names, values, strict=True))
    assert len(returned.pop("Output")) == 64
    assert (returned.pop("folds"), returned.pop("generators")) == ([{"fold": -1}], [{"seed": 0}])
    assert [arm["arm"] for arm in returned.pop("real_arms")] == ["traditional"]
    assert returned.pop("shards") == [{"shard": "1 of 1", "slides": []}]
    empty = [name for name in names if "_for_" in name or name.endswith("_gpus") or name == "test_digest"]
    assert {returned.pop(name) for name in empty} == {""}
    assert returned == {f"{name}_overrides": step_overrides(STEPS[name], given) for name in SCANNED}


def test_encoders_are_named_once_for_all_steps_and_read_before_anything_starts(tmp_path, capsys):
    outputs = {
        name: kind(name=name, uri=str(tmp_path / name / "data"))
        for name, kind in (("metrics", dsl.Metrics), ("summary", dsl.Markdown))
    }
    encoder = str(write_encoder(tmp_path / "encoder"))
    given = {"source": str(write_images(tmp_path / "images")), "overrides": {"preprocess.patch_size": "16"}, **outputs}
    values = component.python_func(encoders=[encoder], **given)
    names = [name for name in component.component_spec.outputs if name not in outputs]
    overrides = {name.removesuffix("_overrides"): value for name, value in zip(names, values, strict=True)}
    for step in ("evaluate", "score_generator"):
        assert overrides[step] == {f"{step}.encoders": [encoder]}
    assert overrides["train_generator"] == overrides["train_classifier"] == {}
    probe = {"train_classifier.backbone": "encoder", "train_classifier.encoder": "absent.yaml"}
    for missing in ({"encoders": ["absent.yaml"]}, {"overrides": {**given["overrides"], **probe}}):
        with pytest.raises(SystemExit):
            component.python_func(**{**given, **missing})
        assert "absent.yaml cannot be read" in capsys.readouterr().err.splitlines()[-1]


def test_scan_source_returns_the_sizes_of_the_form(tmp_path):
    outputs = {
        name: kind(name=name, uri=str(tmp_path / name / "data"))
        for name, kind in (("metrics", dsl.Metrics), ("summary", dsl.Markdown))
    }
    source = str(write_images(tmp_path / "images"))
    form = {"cpu": "8", "memory": "32Gi", "cpu_training": "16", "memory_evaluating": "8Gi"}
    values = component.python_func(source=source, overrides={"preprocess.patch_size": "16"}, **form, **outputs)
    names = [name for name in component.component_spec.outputs if name not in outputs]
    sizes = {name: value for name, value in zip(names, values, strict=True) if "_for_" in name}
    assert sizes == {
        "cpu_for_cutting": "8",
        "cpu_for_training": "16",
        "cpu_for_evaluating": "8",
        "memory_for_cutting": "32Gi",
        "memory_for_training": "32Gi",
        "memory_for_evaluating": "8Gi",
    }
