"""Components with their resources, `components/*/pipeline*.yaml`, as a foreign pipeline on a backend runs them."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from backend.installation import ROOT
from backend.tiny_latents import inputs_of, settings_with
from kfp import components, dsl
from tiny_study import LEADERBOARD, SETTINGS

FILES = sorted(ROOT.glob("components/*/pipeline*.yaml"))
TYPES = {"system.Dataset": dsl.Dataset, "system.Model": dsl.Model, "system.Artifact": dsl.Artifact}
METHOD = {"train_generator.method": "rleo", "train_generator.reward": "literal"}


def artifact_inputs(path: Path) -> dict[str, Any]:
    """The input artifacts of a compiled pipeline."""
    inputs: dict[str, Any] = next(yaml.safe_load_all(path.read_text(encoding="utf-8")))["root"]["inputDefinitions"]
    return inputs["artifacts"]


def foreign_pipeline(path: Path) -> Any:
    """A pipeline that imports an artifact for each input of the file's, and runs it with them."""
    step = components.load_component_from_file(str(path))
    artifacts = artifact_inputs(path)
    parameters = {**dict.fromkeys(artifacts, str), "overrides": dict}
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = [inspect.Parameter(name, kind, annotation=annotation) for name, annotation in parameters.items()]

    def foreign(*values: Any) -> None:
        given = dict(zip(parameters, values, strict=True))
        imported = {
            name: dsl.importer(
                artifact_uri=given[name], artifact_class=TYPES[spec["artifactType"]["schemaTitle"]], reimport=True
            ).output
            for name, spec in artifacts.items()
        }
        step(**imported, overrides=given["overrides"], memory="1Gi")

    foreign.__signature__ = inspect.Signature(signature)
    foreign.__annotations__ = parameters
    return dsl.pipeline(name="foreign")(foreign)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_runs_in_a_foreign_pipeline(path, locations, sources, run, tmp_path):
    name, inputs = path.parent.name, artifact_inputs(path)
    settings = {**LEADERBOARD, **METHOD} if "guide" in inputs else {**LEADERBOARD, **SETTINGS}
    if "latents" in inputs or name in ("train_autoencoder", "train_upscaler", "synthesise_images"):
        settings = settings_with(inputs)
    overrides = {**settings, **sources, "publish_model.models": str(tmp_path / "models")}
    given = {key: {**locations, **inputs_of(name, locations)}[key] for key in inputs}
    finished = run(foreign_pipeline(path), {**given, "overrides": overrides})
    (attempt,) = finished.launcher.attempts
    assert attempt.status == 0
    assert set(attempt.executor_input["inputs"]["artifacts"]) == set(given)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_artifact_that_is_left_out_is_missed_when_the_pipeline_is_written(path):
    for name, spec in artifact_inputs(path).items():
        assert not spec.get("isOptional"), name
        assert not spec.get("isArtifactList"), name
    step = components.load_component_from_file(str(path))
    with pytest.raises(TypeError, match=r"missing \d+ required argument"):
        dsl.pipeline(name="foreign")(lambda: step())  # noqa: PLW0108 - a pipeline that calls it
