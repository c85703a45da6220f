"""A stand-in for Kubeflow's API server that checks every request with the published models of kfp-server-api."""

import inspect
import json
import re
import threading
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import kfp_server_api
import yaml

API = "/apis/v2beta1"
STATES = ("PENDING", "RUNNING", "SUCCEEDED")
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
PRIMITIVES: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float), "bool": bool}


class BadRequest(Exception):
    """A request that the real server would refuse, with its status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check(value: Any, kind: str, where: str = "body") -> None:
    """Hold a JSON value against a model of kfp-server-api, all through.

    Raises:
        BadRequest: a name that the model does not have, or a value of another type.
    """
    if kind == "object":
        return
    if match := re.fullmatch(r"(list\[|dict\(str, )(.+)[\])]", kind):
        inner = match[2]
        if not isinstance(value, list if match[1] == "list[" else dict):
            raise BadRequest(400, f"{where} is no {kind}")
        for key, item in enumerate(value) if isinstance(value, list) else value.items():
            check(item, inner, f"{where}.{key}")
    elif kind == "datetime":
        datetime.fromisoformat(value)
    elif kind in PRIMITIVES:
        if not isinstance(value, PRIMITIVES[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise BadRequest(400, f"{where} is {value!r} and no {kind}")
    else:
        _check_model(value, getattr(kfp_server_api.models, kind), where)


def _check_model(value: Any, model: Any, where: str) -> None:
    if hasattr(model, "allowable_values"):
        if value not in model.allowable_values:
            raise BadRequest(400, f"{where} is {value!r} and none of {model.allowable_values}")
        return
    if not isinstance(value, dict):
        raise BadRequest(400, f"{where} is no {model.__name__}")
    kinds = {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
    for name, item in value.items():
        if name not in kinds:
            raise BadRequest(400, f"{where}.{name} is not in {model.__name__}")
        check(item, kinds[name], f"{where}.{name}")


def _parameters(service: Any, name: str) -> set[str]:
    """The parameters that the published interface gives a request."""
    source = inspect.getsource(getattr(service, f"{name}_with_http_info"))
    listed = re.search(r"all_params = \[(.*?)\]", source, re.DOTALL)
    assert listed
    return set(re.findall(r"'(\w+)'", listed[1]))


class Double:
    """The server's memory, and what it was asked.

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
        """The requests that changed something."""
        return [one for one in self.asked if not one.startswith("GET ")]

    def id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self._count}"

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        for verb, pattern, service, name, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if verb == method and match:
                unknown = set(query) - _parameters(service, name)
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

    def answer_pods(self, method: str, query: dict[str, str], namespace: str, name: str | None, log: str | None) -> Any:
        """As Kubernetes lists pods by label, hands out the last lines of a log, and deletes a pod."""
        if self.forbids_pods:
            raise BadRequest(403, "pods is forbidden")
        pods = {key: pod for key, pod in self.pods.items() if pod["metadata"]["namespace"] == namespace}
        if name is None:
            label, _, value = query["labelSelector"].partition("=")
            chosen = [pod for pod in pods.values() if pod["metadata"].get("labels", {}).get(label) == value]
            return {"kind": "PodList", "items": [{k: v for k, v in pod.items() if k != "log"} for pod in chosen]}
        pod = _there(pods, name)
        if method == "DELETE":
            del self.pods[name]
            self.before.get("delete_pod", lambda: None)()
        elif log:
            assert query["container"] == "main"
            return "\n".join(pod["log"].splitlines()[-int(query["tailLines"]) :])
        return pod

    def page(self, name: str, items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        if "namespace" in query:
            items = [item for item in items if self.namespace_of(item) == query["namespace"]]
        if "filter" in query:
            asked = json.loads(query["filter"])
            check(asked, "V2beta1Filter", "filter")
            for one in asked["predicates"]:
                assert one["operation"] == "EQUALS"
                items = [item for item in items if item.get(one["key"], "") == one["string_value"]]
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
        said = _json(body, "V2beta1Pipeline")
        if said["display_name"] in {one["display_name"] for one in self.pipelines.values()}:
            raise BadRequest(409, "pipeline exists")
        made = {**said, "pipeline_id": self.id("pipeline")}
        self.pipelines[made["pipeline_id"]] = made
        return made

    def get_pipeline(self, _: dict[str, str], __: bytes, name: str) -> Any:
        return _there(self.pipelines, name)

    def list_versions(self, query: dict[str, str], _: bytes, pipeline: str) -> Any:
        found = [one for one in self.versions.values() if one["pipeline_id"] == pipeline]
        return self.page("pipeline_versions", found, query)

    def get_version(self, _: dict[str, str], __: bytes, ___: str, version: str) -> Any:
        return _there(self.versions, version)

    def delete_version(self, _: dict[str, str], __: bytes, ___: str, version: str) -> Any:
        _there(self.versions, version)
        del self.versions[version]
        return {}

    def delete_pipeline(self, query: dict[str, str], __: bytes, name: str) -> Any:
        """As `ResourceManager.DeletePipeline`: not one that has versions."""
        _there(self.pipelines, name)
        if not query.get("cascade") and name in {one["pipeline_id"] for one in self.versions.values()}:
            raise BadRequest(400, f"Failed to delete pipeline with id {name} as it has existing pipeline versions")
        del self.pipelines[name]
        return {}

    def upload_version(self, query: dict[str, str], body: bytes) -> Any:
        _there(self.pipelines, query["pipelineid"])
        if query["name"] in {one["name"] for one in self.versions.values()}:
            raise BadRequest(409, "version exists")
        file = re.search(rb'name="uploadfile"; filename="([^"]+)".*?\r\n\r\n(.*?)\r\n--', body, re.DOTALL)
        if not file:
            raise BadRequest(400, "no uploadfile")
        text = file[2].decode()
        documents = list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        made = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": self.id("version"),
            "name": query["name"],
            "display_name": query["display_name"],
            "description": query.get("description", ""),
            "pipeline_spec": {"pipeline_spec": documents[0], "platform_spec": documents[1]}
            if len(documents) > 1
            else documents[0],
        }
        self.versions[made["pipeline_version_id"]] = made
        self.packages[made["pipeline_version_id"]] = text
        return made

    def list_experiments(self, query: dict[str, str], _: bytes) -> Any:
        return self.page("experiments", list(self.experiments.values()), query)

    def create_experiment(self, _: dict[str, str], body: bytes) -> Any:
        made = {**_json(body, "V2beta1Experiment"), "experiment_id": self.id("experiment")}
        self.experiments[made["experiment_id"]] = made
        return made

    def get_experiment(self, _: dict[str, str], __: bytes, name: str) -> Any:
        return _there(self.experiments, name)

    def delete_experiment(self, _: dict[str, str], __: bytes, name: str) -> Any:
        """As `ExperimentStore.DeleteExperiment`: its runs stay."""
        _there(self.experiments, name)
        del self.experiments[name]
        return {}

    def create_run(self, _: dict[str, str], body: bytes) -> Any:
        made = {**self.runnable(_json(body, "V2beta1Run")), "run_id": self.id("run"), "state": "PENDING"}
        self.runs[made["run_id"]] = made
        self.started(made)
        return made

    def get_run(self, _: dict[str, str], __: bytes, name: str) -> Any:
        if self.failing:
            self.failing -= 1
            raise BadRequest(503, "try again")
        run = _there(self.runs, name)
        self.advance(run)
        run["run_details"] = {"task_details": self.nodes(run)}
        return run

    def nodes(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        """The nodes of Argo's workflow, as `toApiPipelineTaskDetail` of KFP's api_converter.go lists them.

        Nodes have names, and those below them by the names of their pods; never an error or a pod of their own.
        """
        spec = self.versions[run["pipeline_version_reference"]["pipeline_version_id"]]["pipeline_spec"]
        spec = spec.get("pipeline_spec", spec)
        names = ["workflow-x", "root-driver", "root"]
        for key in spec["root"]["dag"]["tasks"]:
            names += [f"{key}-driver", key, "executor", "executor(0)"]
        done = {"PENDING": "PENDING", "RUNNING": "RUNNING", "SUCCEEDED": "SUCCEEDED"}.get(run["state"], run["state"])
        states = {
            name: "SUCCEEDED" if name.endswith("-driver") and run["state"] != "PENDING" else done for name in names
        }
        if done == "FAILED" and self.failing_task:
            omitted = {name: "RUNTIME_STATE_UNSPECIFIED" for name in names[3:] if name != self.failing_task}
            states.update(omitted)
        states.update(self.node_states)
        return [
            {
                "run_id": run["run_id"],
                "task_id": f"task-{number}",
                "display_name": name,
                "state": states[name],
                "child_tasks": [{"pod_name": f"workflow-x-{number + 1}"}],
            }
            for number, name in enumerate(names)
        ]

    def advance(self, run: dict[str, Any]) -> None:
        """Let a run come one state further, unless nothing reports it or it does not end by itself."""
        if run["run_id"] in self.lost or run["state"] in ENDED:
            return
        if run["state"] == "CANCELING":
            run["state"] = "CANCELED"
        elif run["run_id"] not in self.endless or run["state"] == "PENDING":
            state = STATES[STATES.index(run["state"]) + 1]
            run["state"] = self.outcomes.get(run["run_id"], self.outcome) if state == "SUCCEEDED" else state

    def list_runs(self, query: dict[str, str], _: bytes) -> Any:
        answer = self.page("runs", list(self.runs.values()), query)
        listed = json.loads(json.dumps(answer))
        for run in answer["runs"]:
            self.advance(run)
        return listed

    def terminate_run(self, _: dict[str, str], __: bytes, name: str) -> Any:
        """As `ResourceManager.TerminateRun`: the state first, then the workflow, which may be gone."""
        run = _there(self.runs, name)
        if run["state"] in (*ENDED, "CANCELING"):
            raise BadRequest(400, f"Failed to terminate a run {name}. Row not found")
        run["state"] = "CANCELING"
        if name in self.lost:
            raise BadRequest(500, f"Failed to terminate run {name} due to error terminating its workflow")
        return {}

    def delete_run(self, _: dict[str, str], __: bytes, name: str) -> Any:
        """As `ResourceManager.DeleteRun`: whatever its state, and with its workflow."""
        _there(self.runs, name)
        del self.runs[name]
        self.pods = {
            key: pod for key, pod in self.pods.items() if pod["metadata"]["labels"].get("pipeline/runid") != name
        }
        return {}

    def fire(self, recurring_run: str) -> dict[str, Any]:
        """What the controller of ScheduledWorkflows does when the time has come; the run does not end by itself."""
        scheduled = _there(self.recurring_runs, recurring_run)
        kept = ("display_name", "experiment_id", "pipeline_version_reference", "runtime_config")
        made = {key: scheduled[key] for key in kept}
        made.update(run_id=self.id("run"), state="RUNNING", recurring_run_id=recurring_run)
        self.endless.add(made["run_id"])
        self.runs[made["run_id"]] = made
        self.started(made)
        return made

    def list_recurring_runs(self, query: dict[str, str], _: bytes) -> Any:
        return self.page("recurringRuns", list(self.recurring_runs.values()), query)

    def create_recurring_run(self, _: dict[str, str], body: bytes) -> Any:
        said = self.runnable(_json(body, "V2beta1RecurringRun"))
        if len(said["trigger"]["cron_schedule"]["cron"].split()) != 6 or not 1 <= int(said["max_concurrency"]) <= 10:
            raise BadRequest(400, "invalid trigger or concurrency")
        status = "ENABLED" if said.pop("mode") == "ENABLE" else "DISABLED"
        made = {**said, "recurring_run_id": self.id("recurring"), "status": status}
        self.recurring_runs[made["recurring_run_id"]] = made
        return made

    def get_recurring_run(self, _: dict[str, str], __: bytes, name: str) -> Any:
        return _there(self.recurring_runs, name)

    def delete_recurring_run(self, query: dict[str, str], __: bytes, name: str) -> Any:
        """As `ResourceManager.DeleteJob`: the ScheduledWorkflow goes, and with it the workflows that it owns.

        Nothing reports their runs any more, which are shown in their last state for ever. With the policy ORPHAN they
        are no longer owned, and go on.
        """
        _there(self.recurring_runs, name)
        del self.recurring_runs[name]
        if query.get("propagation_policy") != "ORPHAN":
            owned = [run for run in self.runs.values() if run.get("recurring_run_id") == name]
            self.lost |= {run["run_id"] for run in owned if run["state"] not in ENDED}
        return {}

    def enable_recurring_run(self, _: dict[str, str], __: bytes, name: str) -> Any:
        _there(self.recurring_runs, name)["status"] = "ENABLED"
        return {}

    def disable_recurring_run(self, _: dict[str, str], __: bytes, name: str) -> Any:
        _there(self.recurring_runs, name)["status"] = "DISABLED"
        return {}

    def health(self, _: dict[str, str], __: bytes) -> Any:
        return {"multi_user": False}

    def runnable(self, said: dict[str, Any]) -> dict[str, Any]:
        """What a run and a recurring run have in common; numbers come back as floats."""
        _there(self.experiments, said["experiment_id"])
        reference = said["pipeline_version_reference"]
        version = _there(self.versions, reference["pipeline_version_id"])
        assert version["pipeline_id"] == reference["pipeline_id"]
        parameters = said["runtime_config"]["parameters"]
        said["runtime_config"]["parameters"] = json.loads(json.dumps(parameters), parse_int=float)
        return said


def _there(found: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name not in found:
        raise BadRequest(404, f"{name} not found")
    return found[name]


def _json(body: bytes, kind: str) -> dict[str, Any]:
    said = json.loads(body)
    check(said, kind)
    return said


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
    """A server of `double` on a free port, running in a thread; end it with `shutdown` and `server_close`."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            double.asked.append(f"{self.command} {parts.path}")
            double.headers.append(dict(self.headers))
            try:
                if double.token and self.headers.get("Authorization") != f"Bearer {double.token}":
                    raise BadRequest(401, "no token")
                status, said = 200, double.answer(self.command, parts.path, query, body)
            except BadRequest as error:
                status, said = error.status, {"message": str(error)}
                if status in (400, 409):
                    double.refused.append(str(error))
            text = (
                double.login.encode()
                or (said if parts.path.endswith("/log") and status == 200 else json.dumps(said)).encode()
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
