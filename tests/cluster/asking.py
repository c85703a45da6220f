"""The command line in this process, and the pipelines and schedules that it is asked about."""

from pathlib import Path
from typing import NamedTuple

import pytest

from histoforge.cli import main

PIPELINE = """
schemaVersion: 2.1.0
pipelineInfo: {name: tiny, description: A pipeline for tests.}
root:
  dag: {tasks: {}}
  inputDefinitions:
    parameters:
      source: {parameterType: STRING, description: where slides lie.}
      cpu: {parameterType: STRING, isOptional: true, description: cores.}
      gpu_count: {parameterType: STRING, isOptional: true, description: GPUs.}
      rounds: {parameterType: NUMBER_INTEGER, isOptional: true, description: how often.}
      overrides: {parameterType: STRUCT, isOptional: true, description: other parameters.}
deploymentSpec: {executors: {}}
"""
SCHEDULES = """
schedules:
  - name: weekly
    pipeline: PIPELINE
    cron: "0 0 3 * * SUN"
    zone: Asia/Kolkata
    profile: small
    parameters: {source: "s3://b/slides", rounds: 3, overrides: {"train_generator.epochs": 5}}
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ended:
    """Run `histoforge` with these arguments."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    said = capsys.readouterr()
    return Ended(int(ended.value.code or 0), said.out, said.err)


def write_pipeline(folder: Path) -> Path:
    """A small compiled pipeline."""
    path = folder / "tiny.yaml"
    path.write_text(PIPELINE)
    return path


def write_schedules(folder: Path, old: str = "", new: str = "") -> Path:
    """A declaration of one schedule of that pipeline, with `old` replaced by `new`."""
    path = folder / "recurring_runs.yaml"
    path.write_text(SCHEDULES.replace(old, new, 1).replace("PIPELINE", str(write_pipeline(folder))))
    return path
