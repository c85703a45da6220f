"""`histoforge launcher`: our store among those of a namespace, which stay as they are."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from histoforge.cli.kubeflow.launcher import launcher_app
from histoforge.cluster.errors import ClusterError
from histoforge.cluster.launcher import merge_launcher, read_launcher
from histoforge.core.errors import SettingsError

SHIPPED = Path(__file__).resolve().parents[2] / "manifests" / "base" / "launcher.yaml"
PATH = "/api/v1/namespaces/pathology/configmaps/kfp-launcher"
NEIGHBOURS = """\
# of the team next door
s3:
  default: {endpoint: s3.neighbours.example, credentials: {fromEnv: true}}
  overrides:
    - {bucketName: theirs, endpoint: other.example, credentials: {fromEnv: true}}
minio:
  default: {endpoint: seaweedfs.kubeflow:9000}
"""
EXISTING = {"defaultPipelineRoot": "minio://mlpipeline/x", "clusterDomain": "cluster.local", "providers": NEIGHBOURS}


def providers(data):
    return yaml.safe_load(data["providers"])


def override(bucket, prefix="", endpoint="s3.example.org"):
    return {"bucketName": bucket, "keyPrefix": prefix, "endpoint": endpoint}


def config_map(*overrides):
    return {"providers": yaml.safe_dump({"s3": {"default": {"endpoint": "x"}, "overrides": list(overrides)}})}


def test_the_stores_and_the_root_of_others_stay():
    merged = merge_launcher(EXISTING, {**read_launcher(SHIPPED), "defaultPipelineRoot": "s3://histoforge/artifacts"})
    assert {**merged, "providers": NEIGHBOURS} == EXISTING
    before, after = providers(EXISTING), providers(merged)
    assert after["minio"] == before["minio"]
    assert after["s3"]["default"] == before["s3"]["default"]
    existing, added = after["s3"]["overrides"]
    assert [existing] == before["s3"]["overrides"]
    assert (added["bucketName"], added["credentials"]["secretRef"]["secretName"]) == (
        "histoforge",
        "histoforge-storage",
    )


def test_a_namespace_without_stores_gets_ours_and_a_default_that_changes_nothing():
    merged = merge_launcher(None, {**read_launcher(SHIPPED), "defaultPipelineRoot": "s3://histoforge/artifacts"})
    assert merged["defaultPipelineRoot"] == "s3://histoforge/artifacts"
    assert providers(merged) == providers(read_launcher(SHIPPED))
    assert providers(merged)["s3"]["default"] == {"credentials": {"fromEnv": True}}


def test_merging_twice_changes_nothing_not_even_a_comment():
    once = merge_launcher(EXISTING, read_launcher(SHIPPED))
    assert merge_launcher(once, read_launcher(SHIPPED)) == once
    known = {"providers": f"# ours\n{read_launcher(SHIPPED)['providers']}"}
    assert merge_launcher(known, read_launcher(SHIPPED)) == known


def test_another_entry_for_the_bucket_is_refused_and_a_wider_one_comes_later():
    with pytest.raises(ClusterError, match="another entry of the provider 's3' for the bucket 'b' with the prefix ''"):
        merge_launcher(config_map(override("b", endpoint="elsewhere")), config_map(override("b")))
    there = config_map(override("a"), override("b"), override("c"))
    merged = providers(merge_launcher(there, config_map(override("b", "runs/"))))["s3"]["overrides"]
    assert [(entry["bucketName"], entry["keyPrefix"]) for entry in merged] == [
        ("a", ""),
        ("b", "runs/"),
        ("b", ""),
        ("c", ""),
    ]


@pytest.mark.parametrize("text", ["s3: [", "- s3", "s3: {overrides: {a: b}}"])
def test_stores_that_cannot_be_read_are_not_replaced(text):
    with pytest.raises(ClusterError, match="cannot be read"):
        merge_launcher({"providers": text}, config_map(override("b")))


@pytest.mark.parametrize(
    "text", ["data: {providers: 's3: ['}", "kind: ConfigMap", "data: {providers: 's3: {overrides: [{}]}'}"]
)
def test_a_file_without_stores_is_one_sentence(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(
        SettingsError, match="defines no stores for 'kfp-launcher': write it like manifests/base/launcher.yaml"
    ):
        read_launcher(tmp_path / "mine.yaml")


class Handler(BaseHTTPRequestHandler):
    """Keeps config maps as Kubernetes does: a replacement must name the version that it replaces."""

    def log_message(self, *_):
        pass

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        there = self.server.kept.get(self.path)
        self.answer(200 if there else 404, there or {"kind": "Status"})

    def do_PUT(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        version = self.server.kept[self.path]["metadata"]["resourceVersion"]
        if given["metadata"]["resourceVersion"] != version or self.server.refuses:
            self.answer(409, {"kind": "Status"})
            return
        given["metadata"]["resourceVersion"] = str(int(version) + 1)
        self.server.kept[self.path] = given
        self.answer(200, given)

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        given["metadata"]["resourceVersion"] = "1"
        self.server.kept[f"{self.path}/{given['metadata']['name']}"] = given
        self.answer(201, given)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.kept, server.refuses = {}, False
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    config = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("KFP_NAMESPACE", "pathology")
    yield server
    server.shutdown()
    server.server_close()


def call(*arguments):
    return CliRunner().invoke(launcher_app(), [*arguments, str(SHIPPED)])


def test_diff_shows_what_apply_adds(cluster):
    labels = {"name": "kfp-launcher", "namespace": "pathology", "labels": {"app": "kubeflow"}, "resourceVersion": "7"}
    cluster.kept[PATH] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": labels, "data": EXISTING}
    shown = call("diff")
    assert shown.exit_code == 1
    assert "+    - bucketName: histoforge" in shown.stdout
    assert cluster.kept[PATH]["data"] == EXISTING
    applied = call("apply")
    assert (applied.exit_code, applied.stdout) == (0, shown.stdout)
    assert cluster.kept[PATH]["metadata"]["labels"] == {"app": "kubeflow"}
    assert [entry["bucketName"] for entry in providers(cluster.kept[PATH]["data"])["s3"]["overrides"]] == [
        "theirs",
        "histoforge",
    ]
    again = call("apply")
    assert (again.exit_code, again.stdout) == (0, "nothing to change\n")
    assert cluster.kept[PATH]["metadata"]["resourceVersion"] == "8"
    assert call("diff").exit_code == 0


def test_a_config_map_is_made_where_there_is_none(cluster):
    assert call("apply").exit_code == 0
    assert providers(cluster.kept[PATH]["data"]) == providers(read_launcher(SHIPPED))


def test_a_concurrent_change_is_not_overwritten(cluster):
    labels = {"name": "kfp-launcher", "namespace": "pathology", "resourceVersion": "7"}
    cluster.kept[PATH] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": labels, "data": EXISTING}
    cluster.refuses = True
    done = call("apply")
    assert isinstance(done.exception, ClusterError)
    assert "was not changed (409" in str(done.exception)
    assert cluster.kept[PATH]["data"] == EXISTING


def test_without_a_cluster_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert str(call("diff").exception) == "No cluster is configured: set KUBECONFIG to the file that describes it."
