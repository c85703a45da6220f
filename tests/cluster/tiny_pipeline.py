"""A small compiled pipeline, a schedule of it, and a kubeconfig for the double of the cluster."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

QUEUE = "/apis/kueue.x-k8s.io/v1beta1"
PIPELINE = """
schemaVersion: 2.1.0
pipelineInfo: {name: tiny, description: A pipeline for tests.}
root:
  dag: {tasks: {preprocess: {taskInfo: {name: Cut patches}, componentRef: {name: comp-preprocess}}}}
  inputDefinitions:
    parameters:
      source: {parameterType: STRING, description: where slides lie.}
      cpu: {parameterType: STRING, isOptional: true, description: cores.}
      gpu_count: {parameterType: STRING, isOptional: true, description: GPUs.}
      rounds: {parameterType: NUMBER_INTEGER, isOptional: true, description: how often.}
      overrides: {parameterType: STRUCT, isOptional: true, description: other parameters.}
components: {comp-preprocess: {executorLabel: exec-preprocess}}
deploymentSpec: {executors: {exec-preprocess: {container: {image: ghcr.io/histoforge/histoforge-cpu:0.1.0}}}}
"""
SCHEDULES = """
schedules:
  - name: weekly
    pipeline: PIPELINE
    cron: "0 0 3 * * SUN"
    profile: small
    parameters: {source: "s3://b/slides", rounds: 3, overrides: {"train_generator.epochs": 5}}
"""


def write_pipeline(folder: Path) -> Path:
    """Write a small compiled pipeline, and return its path."""
    path = folder / "tiny.yaml"
    path.write_text(PIPELINE)
    return path


def write_schedules(folder: Path, old: str = "", new: str = "") -> Path:
    """Write a file with one schedule of that pipeline, in which `old` is replaced by `new`; return its path."""
    path = folder / "recurring_runs.yaml"
    path.write_text(SCHEDULES.replace(old, new, 1).replace("PIPELINE", str(write_pipeline(folder))))
    return path


def in_kubernetes(kubeflow: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a kubeconfig for the double, and give it the queue `gpus` with two GPUs and a launcher with s3."""
    server = os.environ["KF_PIPELINES_ENDPOINT"]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
    quota = [{"name": "nvidia.com/gpu", "nominalQuota": 2}]
    kubeflow.kubernetes = {
        f"{QUEUE}/namespaces/kubeflow/localqueues/gpus": {"spec": {"clusterQueue": "pool"}},
        f"{QUEUE}/clusterqueues/pool": {
            "spec": {"resourceGroups": [{"flavors": [{"name": "a100", "resources": quota}]}]}
        },
        "/api/v1/namespaces/kubeflow/configmaps/kfp-launcher": {
            "data": {"providers": "s3:\n  default: {endpoint: store}\n"}
        },
    }
