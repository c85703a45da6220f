"""A stand-in for Kubeflow's API server that checks every request with the published models of kfp-server-api."""

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import kfp_server_api
import yaml
from doubled_runs import Runs
from request_models import BadRequest, check, parameters_of, parsed, there

API = "/apis/v2beta1"


class Double(Runs):
    """The state of the server, and the requests that it received.

    Attributes:
        asked: each request as 'METHOD path'.
        refused: what was wrong with requests, in words.
        token: that requests must bear; '' for none.
        login: page that it answers with instead; '' for none.
        pages: page size that it answers with at most.
        outcome: the state in which runs end.
        failing: how many looks at a run it answers with 503.
        endless: ids of runs that do not end by themselves.
        before: by the name of a request's function in kfp-server-api, what happens just before it is answered.
        started: is called with each run that starts.
        outcomes: the states in which single runs end, by id.
        failing_task: the task at which failing runs fail; '' for all of them.
        node_states: states of single nodes of workflows, by their names.
        pods: of Kubernetes, by name; `log` is what their main container has logged.
        forbids_pods: whether this user may not see pods.
        lost: ids of runs without a workflow, whose state nothing reports any more.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.token, self.login, self.pages, self.outcome = "", "", 2, "SUCCEEDED"
        self.failing = 0
        self.endless: set[str] = set()
        self.lost: set[str] = set()
        self.failing_task = ""
        self.outcomes: dict[str, str] = {}
        self.started: Callable[[dict[str, Any]], object] = lambda run: None
        self.node_states: dict[str, str] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.forbids_pods = False
        self.before: dict[str, Callable[[], object]] = {}
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.recurring_runs: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.packages: dict[str, str] = {}
        self.kubernetes: dict[str, Any] = {}
        self._count = 0

    def changes(self) -> list[str]:
        """Return the requests that changed the state."""
        return [request for request in self.asked if not request.startswith("GET ")]

    def id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self._count}"

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        for verb, pattern, service, name, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if verb == method and match:
                unknown = set(query) - parameters_of(service, name)
                if unknown:
                    raise BadRequest(400, f"{name} has no parameter {unknown}")
                self.before.get(name, lambda: None)()
                return handler(self, query, body, *match.groups())
        if match := re.fullmatch(r"/api/v1/namespaces/([^/]+)/pods(?:/([^/]+)(/log)?)?", path):
            return self.answer_pods(method, query, *match.groups())
        if path.startswith(("/api/v1/", "/apis/kueue")) and method == "GET":
            if path not in self.kubernetes:
                raise BadRequest(404, "not found")
            return self.kubernetes[path]
        raise BadRequest(404, f"no route {method} {path}")

    def page(self, name: str, items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        if "namespace" in query:
            items = [item for item in items if self.namespace_of(item) == query["namespace"]]
        if "filter" in query:
            condition = json.loads(query["filter"])
            check(condition, "V2beta1Filter", "filter")
            for predicate in condition["predicates"]:
                assert predicate["operation"] == "EQUALS"
                items = [item for item in items if item.get(predicate["key"], "") == predicate["string_value"]]
        start = int(query.get("page_token") or 0)
        end = start + min(int(query.get("page_size") or 10), self.pages)
        return {name: items[start:end], "next_page_token": str(end) if end < len(items) else ""}

    def namespace_of(self, item: dict[str, Any]) -> str:
        """Where something is: a recurring run is where its experiment is."""
        home = self.experiments.get(item["experiment_id"], {}) if "runtime_config" in item else item
        return str(home.get("namespace", ""))

    def list_pipelines(self, query: dict[str, str], _: bytes) -> Any:
        return self.page("pipelines", list(self.pipelines.values()), query)

    def create_pipeline(self, _: dict[str, str], body: bytes) -> Any:
        definition = parsed(body, "V2beta1Pipeline")
        if definition["display_name"] in {pipeline["display_name"] for pipeline in self.pipelines.values()}:
            raise BadRequest(409, "pipeline exists")
        created = {**definition, "pipeline_id": self.id("pipeline")}
        self.pipelines[created["pipeline_id"]] = created
        return created

    def get_pipeline(self, _: dict[str, str], __: bytes, name: str) -> Any:
        return there(self.pipelines, name)

    def list_versions(self, query: dict[str, str], _: bytes, pipeline: str) -> Any:
        versions = [version for version in self.versions.values() if version["pipeline_id"] == pipeline]
        return self.page("pipeline_versions", versions, query)

    def get_version(self, _: dict[str, str], __: bytes, ___: str, version: str) -> Any:
        return there(self.versions, version)

    def delete_version(self, _: dict[str, str], __: bytes, ___: str, version: str) -> Any:
        there(self.versions, version)
        del self.versions[version]
        return {}

    def delete_pipeline(self, query: dict[str, str], __: bytes, name: str) -> Any:
        """Imitate `ResourceManager.DeletePipeline`: not one that has versions."""
        there(self.pipelines, name)
        if not query.get("cascade") and name in {version["pipeline_id"] for version in self.versions.values()}:
            raise BadRequest(400, f"Failed to delete pipeline with id {name} as it has existing pipeline versions")
        del self.pipelines[name]
        return {}

    def upload_version(self, query: dict[str, str], body: bytes) -> Any:
        there(self.pipelines, query["pipelineid"])
        if query["name"] in {version["name"] for version in self.versions.values()}:
            raise BadRequest(409, "version exists")
        file = re.search(rb'name="uploadfile"; filename="([^"]+)".*?\r\n\r\n(.*?)\r\n--', body, re.DOTALL)
        if not file:
            raise BadRequest(400, "no uploadfile")
        text = file[2].decode()
        documents = list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        created = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": self.id("version"),
            "name": query["name"],
            "display_name": query["display_name"],
            "description": query.get("description", ""),
            "pipeline_spec": {"pipeline_spec": documents[0], "platform_spec": documents[1]}
            if len(documents) > 1
            else documents[0],
        }
        self.versions[created["pipeline_version_id"]] = created
        self.packages[created["pipeline_version_id"]] = text
        return created

    def list_experiments(self, query: dict[str, str], _: bytes) -> Any:
        return self.page("experiments", list(self.experiments.values()), query)

    def create_experiment(self, _: dict[str, str], body: bytes) -> Any:
        created = {**parsed(body, "V2beta1Experiment"), "experiment_id": self.id("experiment")}
        self.experiments[created["experiment_id"]] = created
        return created

    def get_experiment(self, _: dict[str, str], __: bytes, name: str) -> Any:
        return there(self.experiments, name)

    def delete_experiment(self, _: dict[str, str], __: bytes, name: str) -> Any:
        """Imitate `ExperimentStore.DeleteExperiment`: its runs stay."""
        there(self.experiments, name)
        del self.experiments[name]
        return {}

    def health(self, _: dict[str, str], __: bytes) -> Any:
        return {"multi_user": False}


_PIPELINES, _UPLOADS = kfp_server_api.PipelineServiceApi, kfp_server_api.PipelineUploadServiceApi
_EXPERIMENTS, _RUNS = kfp_server_api.ExperimentServiceApi, kfp_server_api.RunServiceApi
_RECURRING, _HEALTH = kfp_server_api.RecurringRunServiceApi, kfp_server_api.HealthzServiceApi
_ID = "([a-z0-9-]+)"


def _route(verb: str, path: str, service: Any, name: str, handler: Callable[..., Any]) -> tuple[Any, ...]:
    return verb, f"{API}{path}", service, name, handler


ROUTES = [
    _route("GET", "/healthz", _HEALTH, "healthz_service_get_healthz", Double.health),
    _route("GET", "/pipelines", _PIPELINES, "pipeline_service_list_pipelines", Double.list_pipelines),
    _route("POST", "/pipelines", _PIPELINES, "pipeline_service_create_pipeline", Double.create_pipeline),
    _route("POST", "/pipelines/upload_version", _UPLOADS, "upload_pipeline_version", Double.upload_version),
    _route("GET", f"/pipelines/{_ID}", _PIPELINES, "pipeline_service_get_pipeline", Double.get_pipeline),
    _route(
        "GET",
        f"/pipelines/{_ID}/versions",
        _PIPELINES,
        "pipeline_service_list_pipeline_versions",
        Double.list_versions,
    ),
    _route(
        "GET",
        f"/pipelines/{_ID}/versions/{_ID}",
        _PIPELINES,
        "pipeline_service_get_pipeline_version",
        Double.get_version,
    ),
    _route("DELETE", f"/pipelines/{_ID}", _PIPELINES, "pipeline_service_delete_pipeline", Double.delete_pipeline),
    _route(
        "DELETE",
        f"/pipelines/{_ID}/versions/{_ID}",
        _PIPELINES,
        "pipeline_service_delete_pipeline_version",
        Double.delete_version,
    ),
    _route(
        "DELETE",
        f"/experiments/{_ID}",
        _EXPERIMENTS,
        "experiment_service_delete_experiment",
        Double.delete_experiment,
    ),
    _route("DELETE", f"/runs/{_ID}", _RUNS, "run_service_delete_run", Double.delete_run),
    _route("GET", "/experiments", _EXPERIMENTS, "experiment_service_list_experiments", Double.list_experiments),
    _route("POST", "/experiments", _EXPERIMENTS, "experiment_service_create_experiment", Double.create_experiment),
    _route("GET", f"/experiments/{_ID}", _EXPERIMENTS, "experiment_service_get_experiment", Double.get_experiment),
    _route("POST", "/runs", _RUNS, "run_service_create_run", Double.create_run),
    _route("GET", "/runs", _RUNS, "run_service_list_runs", Double.list_runs),
    _route("GET", f"/runs/{_ID}", _RUNS, "run_service_get_run", Double.get_run),
    _route("POST", f"/runs/{_ID}:terminate", _RUNS, "run_service_terminate_run", Double.terminate_run),
    *(
        _route(verb, path, _RECURRING, f"recurring_run_service_{name}", getattr(Double, name))
        for verb, path, name in (
            ("POST", f"/recurringruns/{_ID}:enable", "enable_recurring_run"),
            ("POST", f"/recurringruns/{_ID}:disable", "disable_recurring_run"),
            ("GET", f"/recurringruns/{_ID}", "get_recurring_run"),
            ("DELETE", f"/recurringruns/{_ID}", "delete_recurring_run"),
            ("POST", "/recurringruns", "create_recurring_run"),
        )
    ),
    _route(
        "GET", "/recurringruns", _RECURRING, "recurring_run_service_list_recurring_runs", Double.list_recurring_runs
    ),
]


def serve(double: Double) -> ThreadingHTTPServer:
    """Serve `double` on a free port in a thread; end it with `shutdown` and `server_close`."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            url = urlsplit(self.path)
            query = dict(parse_qsl(url.query))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            double.asked.append(f"{self.command} {url.path}")
            double.headers.append(dict(self.headers))
            try:
                if double.token and self.headers.get("Authorization") != f"Bearer {double.token}":
                    raise BadRequest(401, "no token")
                status, answer = 200, double.answer(self.command, url.path, query, body)
            except BadRequest as error:
                status, answer = error.status, {"message": str(error)}
                if status in (400, 409):
                    double.refused.append(str(error))
            text = (
                double.login.encode()
                or (answer if url.path.endswith("/log") and status == 200 else json.dumps(answer)).encode()
            )
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _any

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server
