"""Runs, recurring runs and pods as Kubeflow and Kubernetes keep them: what they become, and what goes with what.

As in the source of kubeflow/pipelines at 7b70c7b95f; each method names the function there that it follows.
"""

import json
from collections.abc import Callable
from typing import Any

from request_models import BadRequest, parsed, there

STATES = ("PENDING", "RUNNING", "SUCCEEDED")
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


class Runs:
    """The runs and recurring runs of the double; `Double` documents the attributes."""

    outcome: str
    failing: int
    endless: set[str]
    lost: set[str]
    outcomes: dict[str, str]
    started: Callable[[dict[str, Any]], object]
    failing_task: str
    node_states: dict[str, str]
    before: dict[str, Callable[[], object]]
    pods: dict[str, dict[str, Any]]
    forbids_pods: bool
    runs: dict[str, dict[str, Any]]
    recurring_runs: dict[str, dict[str, Any]]
    versions: dict[str, dict[str, Any]]
    experiments: dict[str, dict[str, Any]]
    id: Callable[[str], str]
    page: Callable[[str, list[dict[str, Any]], dict[str, str]], dict[str, Any]]

    def answer_pods(self, method: str, query: dict[str, str], namespace: str, name: str | None, log: str | None) -> Any:
        """Imitate Kubernetes, which lists pods by label, hands out the last lines of a log, and deletes a pod."""
        if self.forbids_pods:
            raise BadRequest(403, "pods is forbidden")
        pods = {key: pod for key, pod in self.pods.items() if pod["metadata"]["namespace"] == namespace}
        if name is None:
            label, _, value = query["labelSelector"].partition("=")
            chosen = [pod for pod in pods.values() if pod["metadata"].get("labels", {}).get(label) == value]
            return {"kind": "PodList", "items": [{k: v for k, v in pod.items() if k != "log"} for pod in chosen]}
        pod = there(pods, name)
        if method == "DELETE":
            del self.pods[name]
            self.before.get("delete_pod", lambda: None)()
        elif log:
            assert query["container"] == "main"
            return "\n".join(pod["log"].splitlines()[-int(query["tailLines"]) :])
        return pod

    def create_run(self, _: dict[str, str], body: bytes) -> Any:
        created = {**self.runnable(parsed(body, "V2beta1Run")), "run_id": self.id("run"), "state": "PENDING"}
        self.runs[created["run_id"]] = created
        self.started(created)
        return created

    def get_run(self, _: dict[str, str], __: bytes, name: str) -> Any:
        if self.failing:
            self.failing -= 1
            raise BadRequest(503, "try again")
        run = there(self.runs, name)
        self.advance(run)
        run["run_details"] = {"task_details": self.nodes(run)}
        return run

    def nodes(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the nodes of Argo's workflow, as `toApiPipelineTaskDetail` of KFP's api_converter.go lists them.

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
            run["state"] = "FAILED"  # as `ReportWorkflowResource` takes it from the Workflow's phase
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
        """Imitate `ResourceManager.TerminateRun`: the state first, then the workflow, which may be gone."""
        run = there(self.runs, name)
        if run["state"] in (*ENDED, "CANCELING"):
            raise BadRequest(400, f"Failed to terminate a run {name}. Row not found")
        run["state"] = "CANCELING"
        if name in self.lost:
            raise BadRequest(500, f"Failed to terminate run {name} due to error terminating its workflow")
        return {}

    def delete_run(self, _: dict[str, str], __: bytes, name: str) -> Any:
        """Imitate `ResourceManager.DeleteRun`: whatever its state, and with its workflow."""
        there(self.runs, name)
        del self.runs[name]
        self.pods = {
            key: pod for key, pod in self.pods.items() if pod["metadata"]["labels"].get("pipeline/runid") != name
        }
        return {}

    def fire(self, recurring_run: str) -> dict[str, Any]:
        """Start a scheduled run as the controller of ScheduledWorkflows does; the run does not end by itself."""
        scheduled = there(self.recurring_runs, recurring_run)
        kept = ("display_name", "experiment_id", "pipeline_version_reference", "runtime_config")
        created = {key: scheduled[key] for key in kept}
        created.update(run_id=self.id("run"), state="RUNNING", recurring_run_id=recurring_run)
        self.endless.add(created["run_id"])
        self.runs[created["run_id"]] = created
        self.started(created)
        return created

    def list_recurring_runs(self, query: dict[str, str], _: bytes) -> Any:
        return self.page("recurringRuns", list(self.recurring_runs.values()), query)

    def create_recurring_run(self, _: dict[str, str], body: bytes) -> Any:
        definition = self.runnable(parsed(body, "V2beta1RecurringRun"))
        if (
            len(definition["trigger"]["cron_schedule"]["cron"].split()) != 6
            or not 1 <= int(definition["max_concurrency"]) <= 10
        ):
            raise BadRequest(400, "invalid trigger or concurrency")
        status = "ENABLED" if definition.pop("mode") == "ENABLE" else "DISABLED"
        created = {**definition, "recurring_run_id": self.id("recurring"), "status": status}
        self.recurring_runs[created["recurring_run_id"]] = created
        return created

    def get_recurring_run(self, _: dict[str, str], __: bytes, name: str) -> Any:
        return there(self.recurring_runs, name)

    def delete_recurring_run(self, query: dict[str, str], __: bytes, name: str) -> Any:
        """Imitate `ResourceManager.DeleteJob`: the ScheduledWorkflow goes, and with it the workflows that it owns.

        Nothing reports their runs any more, which are shown in their last state for ever. With the policy ORPHAN they
        are no longer owned, and go on.
        """
        there(self.recurring_runs, name)
        del self.recurring_runs[name]
        if query.get("propagation_policy") != "ORPHAN":
            owned = [run for run in self.runs.values() if run.get("recurring_run_id") == name]
            self.lost |= {run["run_id"] for run in owned if run["state"] not in ENDED}
        return {}

    def enable_recurring_run(self, _: dict[str, str], __: bytes, name: str) -> Any:
        there(self.recurring_runs, name)["status"] = "ENABLED"
        return {}

    def disable_recurring_run(self, _: dict[str, str], __: bytes, name: str) -> Any:
        there(self.recurring_runs, name)["status"] = "DISABLED"
        return {}

    def runnable(self, definition: dict[str, Any]) -> dict[str, Any]:
        """Return the fields that runs and recurring runs share; numbers come back as floats."""
        there(self.experiments, definition["experiment_id"])
        reference = definition["pipeline_version_reference"]
        version = there(self.versions, reference["pipeline_version_id"])
        assert version["pipeline_id"] == reference["pipeline_id"]
        parameters = definition["runtime_config"]["parameters"]
        definition["runtime_config"]["parameters"] = json.loads(json.dumps(parameters), parse_int=float)
        return definition
