"""Fixtures: a double of the cluster, and an environment without the tester's own settings."""

import os

import pytest
from kubeflow_double import Double, serve


@pytest.fixture
def kubeflow(monkeypatch, tmp_path):
    """Return a double of the API server, to which the environment points the commands."""
    for name in list(os.environ):
        if name.startswith(("KF_", "KFP_", "KUBE")) or name == "SSL_CERT_FILE":
            monkeypatch.delenv(name)
    double = Double()
    server = serve(double)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield double
    server.shutdown()
    server.server_close()
