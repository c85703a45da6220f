"""A stand-in for the Kubernetes API with Kubeflow Trainer, which starts the processes of a TrainJob on this machine."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import yaml

from histoforge.patches import PatchSetWriter

NAMESPACE, POD = "pathology", "histoforge-x7k2p-train"
JOBS = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{NAMESPACE}/trainjobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
WORKFLOW = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "histoforge-x7k2p", "uid": "1"}


class TrainerDouble:
    """The state of the server.

    Attributes:
        folder: gets the logs of the nodes.
        jobs: the TrainJobs by name.
        asked: the requests that changed something, as 'METHOD path'.
        created: is called with each job that is created; starts its nodes unless it is replaced.
        refuses: status that it answers all requests for TrainJobs with; 0 for none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.created: Any = self.start
        self.refuses = 0
        self.nodes: list[subprocess.Popen[bytes]] = []
        main = {"name": "main", "image": "histoforge-cuda:1"}
        values = {"HISTOFORGE_PROCESSES": "1", "HISTOFORGE_LOGS": "/logs", "ARGO_TEMPLATE": "x"}
        environment = [{"name": name, "value": value} for name, value in values.items()]
        spec = {"containers": [{"name": "wait"}, {**main, "env": environment}]}
        labels = {"kueue.x-k8s.io/queue-name": "research", "kueue.x-k8s.io/managed": "true"}
        self.pod = {
            "metadata": {"name": POD, "labels": labels, "ownerReferences": [{**WORKFLOW, "controller": True}]},
            "spec": spec,
        }

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        """Return the status and the content of an answer."""
        if method != "GET":
            self.asked.append(f"{method} {path}")
        if path.startswith(JOBS) and self.refuses:
            return self.refuses, {"message": "trainjobs is forbidden"}
        if path.startswith(JOBS):
            return self.answer_job(method, path.removeprefix(JOBS).strip("/"), body)
        if path == f"{PODS}/{POD}":
            return 200, self.pod
        if path == PODS:
            (label,) = query["labelSelector"]
            name = re.fullmatch("jobset.*-name=(.+),batch.kubernetes.io/job-completion-index=0", label)[1]
            return 200, {"items": [{"metadata": {"name": f"{name}-node-0"}}] if name in self.jobs else []}
        if path.endswith("-node-0/log") and query["container"] == ["node"]:
            return 200, "".join(line for line in self.log(0) if line >= query.get("sinceTime", [""])[0])
        return 404, {"message": "not found"}

    def answer_job(self, method: str, name: str, body: bytes) -> Any:
        """Return the answer to a request for a TrainJob; '' is the name of one to create."""
        if method == "POST":
            job = json.loads(body)
            self.jobs[job["metadata"]["name"]] = job
            self.created(job)
            return 201, job
        if name not in self.jobs:
            return 404, {"message": "not found"}
        if method == "DELETE":
            for node in self.nodes:
                node.send_signal(signal.SIGTERM)
            return 200, self.jobs.pop(name)
        codes = [node.poll() for node in self.nodes]
        if codes and None not in codes:
            self.end(name, "Failed" if any(codes) else "Complete")
        return 200, self.jobs[name]

    def end(self, name: str, condition: str) -> None:
        """Give a job a condition."""
        ended = {"type": condition, "status": "True", "message": "the jobs have ended"}
        self.jobs[name]["status"] = {"conditions": [ended]}

    def log(self, rank: int) -> list[str]:
        """The lines of a node, with the time at which each was written."""
        path = self.folder / f"node-{rank}.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [f"2026-11-22T08:00:00.{number:09}Z {line}\n" for number, line in enumerate(lines)]

    def start(self, job: dict[str, Any]) -> None:
        """Start the nodes of a job as Kubeflow Trainer does."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        trainer = job["spec"]["trainer"]
        for rank in range(trainer["numNodes"]):
            values = {"NNODES": trainer["numNodes"], "NODE_RANK": rank, "MASTER_PORT": port, "NPROC_PER_NODE": 8}
            environment = {f"PET_{name}": str(value) for name, value in values.items()}
            environment |= {"PET_MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
            environment |= {entry["name"]: entry["value"] for entry in trainer["env"]}
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            with (self.folder / f"node-{rank}.log").open("wb") as log:
                self.nodes.append(
                    subprocess.Popen(
                        trainer["command"], env={**os.environ, **environment, "PATH": path}, stdout=log, stderr=log
                    )
                )

    def wait(self) -> list[int]:
        """Return the exit codes of the nodes."""
        return [node.wait(timeout=120) for node in self.nodes]


@contextmanager
def serve_trainer(folder: Path) -> Iterator[TrainerDouble]:
    """Serve a double; `folder/kubeconfig` is for its clients."""
    double = TrainerDouble(folder)

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = double.answer(self.command, url.path, parse_qs(url.query), body)
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = respond

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    context = {"name": "x", "context": {"cluster": "x", "user": "x", "namespace": NAMESPACE}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [context],
        "clusters": [{"name": "x", "cluster": {"server": address}}],
        "users": [{"name": "x", "user": {}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    try:
        yield double
    finally:
        server.shutdown()
        for node in double.nodes:
            node.kill()


def write_patches(path: Path) -> Path:
    """Write a patch set of two classes."""
    noise = np.random.default_rng(0).integers(0, 200, (16, 16, 16, 3), dtype=np.uint8)
    with PatchSetWriter.create(path, ["dark", "light"], (16, 16), 0.5) as writer:
        for label in (0, 1):
            writer.add(noise + 50 * label, label=label, patient=f"p{label}")
        writer.finish({"step": "test"}, split=["train"] * 32)
    return path
