"""`make kind` and `make kind-down`, with stand-ins for kind, kubectl and docker that write down how they are called.

No cluster is made: the tests hold the order and the arguments of the calls, and what the scripts leave behind.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "dirname", "cat", "grep", "mkdir", "rm", "rmdir", "ps", "nohup", "sleep", "basename")
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$(basename "$0") $*" in
*"get clusters"*) cat "$CLUSTERS" ;;
*"create cluster"*) echo "$4" >>"$CLUSTERS" ;;
*"delete cluster"*) grep -vxF "$4" "$CLUSTERS" >"$CLUSTERS.new"; cat "$CLUSTERS.new" >"$CLUSTERS" ;;
*"image inspect"*) [ "$3" = registry.example/histoforge:1 ] ;;
*"get secret"*) printf quite-secret ;;
*"create secret"*) echo "kind: Secret" ;;
*port-forward*) sleep 300 & trap 'kill $!' TERM; wait ;;
*"apply --filename -"*) cat >/dev/null ;;
esac
"""


class Machine:
    """A PATH with the stand-ins and what little else the scripts need."""

    def __init__(self, folder):
        self.folder, self.path, self.state = folder, folder / "bin", folder / "state"
        self.path.mkdir()
        self.calls, self.clusters = folder / "calls", folder / "clusters"
        self.calls.touch()
        self.clusters.write_text("of-another\n")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found
            (self.path / tool).symlink_to(found)
        for name in ("kind", "kubectl", "docker"):
            (self.path / name).write_text(STAND_IN)
            (self.path / name).chmod(0o755)

    def run(self, script, **environment):
        given = {"IMAGE": "registry.example/histoforge:1", "KIND_STATE": str(self.state), **environment}
        paths = {"PATH": str(self.path), "CALLS": str(self.calls), "CLUSTERS": str(self.clusters)}
        before = len(self.calls.read_text().splitlines())
        command = [str(ROOT / "manifests" / "kind" / f"{script}.sh")]
        done = subprocess.run(command, env={**paths, **given}, capture_output=True, text=True, check=False)
        done.calls = self.calls.read_text().splitlines()[before:]
        return done

    def forwards(self):
        return [int(path.read_text()) for path in self.state.glob("*.pid")]


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    yield made
    for process in made.forwards():
        os.kill(process, signal.SIGTERM)


def is_alive(process):
    """Return True if a process runs; a zombie does not."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_up_makes_a_cluster_installs_kubeflow_and_says_what_to_export(machine):
    done = machine.run("up")
    assert done.returncode == 0, done.stderr
    kubectl = f"kubectl --kubeconfig {machine.state}/kubeconfig"
    manifests = "github.com/kubeflow/pipelines/manifests/kustomize"
    wanted = [
        f"kind create cluster --name histoforge --kubeconfig {machine.state}/kubeconfig",
        "docker save --output",
        f"kind load image-archive {machine.state}/image.tar --name histoforge",
        f"{kubectl} apply --kustomize {manifests}/cluster-scoped-resources?ref=2.17.0",
        f"{kubectl} wait crd/applications.app.k8s.io",
        f"{kubectl} apply --kustomize {manifests}/env/platform-agnostic?ref=2.17.0",
        f"{kubectl} wait deployment --selector application-crd-id=kubeflow-pipelines --namespace kubeflow",
        f"{kubectl} get secret mlpipeline-minio-artifact",
        f"{kubectl} create secret generic histoforge-storage",
        f"{kubectl} apply --kustomize manifests/overlays/standalone",
    ]
    at = [next(number for number, call in enumerate(done.calls) if call.startswith(start)) for start in wanted]
    assert at == sorted(at)
    assert "endpoint=http://seaweedfs.kubeflow:9000" in "\n".join(done.calls)
    assert "quite-secret" not in "\n".join(done.calls) + done.stdout + done.stderr
    assert (machine.state / "secretkey").read_text() == "quite-secret"
    assert (machine.state / "secretkey").stat().st_mode & 0o077 == 0
    assert "export KF_PIPELINES_ENDPOINT=http://localhost:8080" in done.stdout
    assert "make cluster-check STORE=minio://mlpipeline/histoforge IMAGE='registry.example/histoforge:1'" in done.stdout
    assert len(machine.forwards()) == 2


def test_up_again_takes_the_cluster_that_it_made_and_forwards_anew(machine):
    machine.run("up")
    before = machine.forwards()
    done = machine.run("up")
    assert done.returncode == 0, done.stderr
    assert not [call for call in done.calls if "create cluster" in call]
    assert [call for call in done.calls if call.startswith("kind export kubeconfig --name histoforge")]
    assert not set(before) & set(machine.forwards())
    assert not any(map(is_alive, before))


def test_mirrors_are_used(machine, tmp_path):
    (tmp_path / "kustomize").mkdir()
    done = machine.run("up", KFP_MANIFESTS=str(tmp_path / "kustomize"), KIND_NODE_IMAGE="mirror.example/node:v1")
    calls = "\n".join(done.calls)
    assert f"apply --kustomize {tmp_path}/kustomize/env/platform-agnostic\n" in calls
    assert "--image mirror.example/node:v1" in calls


def test_down_takes_away_that_cluster_and_nothing_else(machine):
    machine.run("up")
    forwards = machine.forwards()
    (machine.state / "notes.txt").write_text("of the user")
    done = machine.run("down")
    assert done.returncode == 0, done.stderr
    assert [call for call in done.calls if "delete" in call] == [
        f"kind delete cluster --name histoforge --kubeconfig {machine.state}/kubeconfig"
    ]
    assert machine.clusters.read_text() == "of-another\n"
    assert [path.name for path in machine.state.iterdir()] == ["notes.txt"]
    assert not any(map(is_alive, forwards))


def test_down_ends_no_process_that_has_got_the_id_of_ours(machine):
    machine.run("up")
    for process in machine.forwards():
        os.kill(process, signal.SIGTERM)
    with subprocess.Popen([shutil.which("sleep"), "60"]) as other:
        (machine.state / "store.pid").write_text(str(other.pid))
        assert machine.run("down").returncode == 0
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("script", ["up", "down"])
def test_a_cluster_that_was_not_made_here_is_left_alone(machine, script):
    done = machine.run(script, KIND_CLUSTER="of-another")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "of-another" in done.stderr
    assert machine.clusters.read_text() == "of-another\n"
    assert not [call for call in done.calls if "kubectl" in call or "delete" in call]


@pytest.mark.parametrize(
    ("tool", "image", "said"),
    [
        ("kind", "registry.example/histoforge:1", "kind is not installed: get it from https://kind.sigs.k8s.io"),
        ("kubectl", "registry.example/histoforge:1", "kubectl is not installed"),
        ("docker", "registry.example/histoforge:1", "docker is not installed"),
        ("", "registry.example/other:1", "is not on this machine: build it with 'make images'"),
    ],
)
def test_what_is_missing_is_one_sentence(machine, tool, image, said):
    if tool:
        (machine.path / tool).unlink()
    done = machine.run("up", IMAGE=image)
    assert (done.returncode, said in done.stderr, len(done.stderr.splitlines())) == (2, True, 1), done.stderr
    assert not [call for call in done.calls if "create" in call]


@pytest.mark.parametrize("target", ["kind", "kind-down"])
def test_make_runs_the_scripts(target):
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"manifests/kind/{'up' if target == 'kind' else 'down'}.sh" in done.stdout
