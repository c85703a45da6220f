"""A view of Kubeflow Pipelines for the commands, which answers in the project's terms or with one sentence."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histoforge.cli.connecting import connect, explained
from histoforge.cluster.schedules import MARK, Found, Standing

_PAGE = 100
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
"""States that a run never leaves by itself."""


class Kubeflow:
    """A connection to the API server; no request is sent before a method is called."""

    def __init__(self) -> None:
        self.host, self._client = connect()
        self.namespace = os.environ.get("KFP_NAMESPACE") or self._client.get_user_namespace() or ""

    def pipeline(self, name: str) -> str:
        """Return the id of a pipeline, or '' if none has that name."""
        service = self._client.pipelines.pipeline_service_list_pipelines
        found = self._all(service, "pipelines", namespace=self.namespace, filter=_named(name))
        return str(found[0].pipeline_id) if found else ""

    def create_pipeline(self, name: str, about: str) -> str:
        """Create a pipeline without versions, and return its id."""
        body = self._model("Pipeline", display_name=name, name=name, description=about, namespace=self.namespace)
        return str(self._ask(self._client.pipelines.pipeline_service_create_pipeline, body).pipeline_id)

    def versions(self, pipeline: str) -> dict[str, Any]:
        """Return the versions of a pipeline by their names in the UI."""
        service = self._client.pipelines.pipeline_service_list_pipeline_versions
        return {one.display_name: one for one in self._all(service, "pipeline_versions", pipeline)}

    def description(self, pipeline: str) -> str:
        """Return the description of a pipeline."""
        return str(self._ask(self._client.pipelines.pipeline_service_get_pipeline, pipeline).description or "")

    def delete_version(self, pipeline: str, version: str) -> None:
        """Delete a version of a pipeline, given both ids."""
        self._ask(self._client.pipelines.pipeline_service_delete_pipeline_version, pipeline, version)

    def delete_pipeline(self, pipeline: str) -> None:
        """Delete a pipeline without versions; the server refuses to delete one that has versions."""
        self._ask(self._client.pipelines.pipeline_service_delete_pipeline, pipeline)

    def spec(self, pipeline: tuple[str, str]) -> dict[str, Any]:
        """Return the compiled pipeline of a version, given the ids of pipeline and version."""
        answer = self._ask(self._client.pipelines.pipeline_service_get_pipeline_version, *pipeline)
        return dict(answer.pipeline_spec or {})

    def upload(self, pipeline: str, name: str, path: Path, version: str, about: str) -> None:
        """Upload a compiled file as a version of a pipeline, given the pipeline's id and name.

        The version's own name contains the pipeline's, because it names a Kubernetes resource where pipelines are
        such resources.
        """
        self._ask(
            self._client._upload_api.upload_pipeline_version,
            str(path),
            name=f"{name}-{version}",
            display_name=version,
            pipelineid=pipeline,
            description=about,
        )

    def find_experiment(self, name: str) -> str:
        """Return the id of an experiment, or '' if none has that name."""
        service = self._client.experiments.experiment_service_list_experiments
        found = self._all(service, "experiments", namespace=self.namespace, filter=_named(name))
        return str(found[0].experiment_id) if found else ""

    def delete_experiment(self, experiment: str) -> None:
        """Delete an experiment, but not its runs."""
        self._ask(self._client.experiments.experiment_service_delete_experiment, experiment)

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, which is created if it does not exist."""
        if existing := self.find_experiment(name):
            return existing
        body = self._model("Experiment", display_name=name, namespace=self.namespace)
        return str(self._ask(self._client.experiments.experiment_service_create_experiment, body).experiment_id)

    def start(self, name: str, pipeline: tuple[str, str], wanted: Standing) -> str:
        """Start a run of a pipeline's version, given their ids, and return the run's id."""
        body = self._model(
            "Run",
            display_name=name,
            experiment_id=self.experiment(wanted.experiment),
            **self._what_runs(pipeline, wanted),
        )
        return str(self._ask(self._client.runs.run_service_create_run, body).run_id)

    def run(self, run: str) -> Any:
        """Return a run with its tasks."""
        return self._ask(self._client.runs.run_service_get_run, run)

    def active_runs(self, recurring_run: str) -> list[Any]:
        """Return the runs of a recurring run that have not ended."""
        return [run for run in self.runs_of("recurring_run_id", recurring_run) if run.state not in ENDED]

    def terminate(self, run: str) -> None:
        """Terminate a run in progress. It is shown as CANCELING, and as FAILED once its pods are gone."""
        self._ask(self._client.runs.run_service_terminate_run, run)

    def runs_of(self, key: str, value: str) -> list[Any]:
        """Return the runs that have a value for a key, such as 'experiment_id'."""
        service = self._client.runs.run_service_list_runs
        return self._all(service, "runs", namespace=self.namespace, filter=_equals(key, value))

    def delete_run(self, run: str) -> None:
        """Delete a run from the list, together with its pods."""
        self._ask(self._client.runs.run_service_delete_run, run)

    def recurring_runs(self) -> list[Found]:
        """Return all recurring runs of the namespace, or of the cluster if it has no namespaces."""
        service = self._client.recurring_runs.recurring_run_service_list_recurring_runs
        return [self._found(one, {}) for one in self._all(service, "recurring_runs", namespace=self.namespace)]

    def recurring_run(self, found: Found) -> Found:
        """Return a recurring run with names in place of the ids of its experiment, pipeline and version."""
        names = {}
        there = found.standing
        if there.experiment:
            get = self._client.experiments.experiment_service_get_experiment
            names[there.experiment] = self._name(get, there.experiment)
        if there.pipeline:
            names[there.pipeline] = self._name(self._client.pipelines.pipeline_service_get_pipeline, there.pipeline)
            if there.version:
                get = self._client.pipelines.pipeline_service_get_pipeline_version
                names[there.version] = self._name(get, there.pipeline, there.version)
        get = self._client.recurring_runs.recurring_run_service_get_recurring_run
        return self._found(self._ask(get, found.id), names)

    def create_recurring_run(self, pipeline: tuple[str, str], wanted: Standing) -> str:
        """Create a recurring run of a pipeline's version, given their ids, and return its id."""
        body = self._model(
            "RecurringRun",
            display_name=wanted.name,
            description=MARK,
            experiment_id=self.experiment(wanted.experiment),
            mode="ENABLE" if wanted.enabled else "DISABLE",
            no_catchup=not wanted.catch_up,
            max_concurrency=str(wanted.at_once),
            trigger=self._model("Trigger", cron_schedule=self._model("CronSchedule", cron=wanted.cron)),
            **self._what_runs(pipeline, wanted),
        )
        service = self._client.recurring_runs.recurring_run_service_create_recurring_run
        return str(self._ask(service, body).recurring_run_id)

    def enable(self, recurring_run: str, enabled: bool) -> None:
        """Enable or pause a recurring run."""
        runs = self._client.recurring_runs
        service = runs.recurring_run_service_enable_recurring_run
        self._ask(service if enabled else runs.recurring_run_service_disable_recurring_run, recurring_run)

    def delete(self, recurring_run: str) -> None:
        """Delete a recurring run, but not the runs that it started.

        Its ScheduledWorkflow owns the Workflows of its runs. Kubernetes would delete these with it, and Kubeflow would
        show their runs as running for ever. ORPHAN keeps a run alive that began after the caller looked for active ones
        (`DeleteRecurringRunRequest` in backend/api/v2beta1/recurring_run.proto of kubeflow/pipelines at 7b70c7b95f).
        """
        service = self._client.recurring_runs.recurring_run_service_delete_recurring_run
        self._ask(service, recurring_run, propagation_policy="ORPHAN")

    def _what_runs(self, pipeline: tuple[str, str], wanted: Standing) -> dict[str, Any]:
        reference = self._model("PipelineVersionReference", pipeline_id=pipeline[0], pipeline_version_id=pipeline[1])
        runtime = self._model("RuntimeConfig", parameters=wanted.parameters, pipeline_root=wanted.pipeline_root or None)
        return {
            "pipeline_version_reference": reference,
            "runtime_config": runtime,
            "service_account": wanted.service_account or None,
        }

    def _found(self, one: Any, names: dict[str, str]) -> Found:
        reference, runtime = one.pipeline_version_reference, one.runtime_config
        pipeline = (reference.pipeline_id if reference else "") or ""
        version = (reference.pipeline_version_id if reference else "") or ""
        cron = one.trigger.cron_schedule.cron if one.trigger and one.trigger.cron_schedule else ""
        standing = Standing(
            name=one.display_name,
            experiment=names.get(one.experiment_id or "", one.experiment_id or ""),
            pipeline=names.get(pipeline, pipeline),
            version=names.get(version, version),
            cron=cron,
            parameters=dict((runtime.parameters if runtime else None) or {}),
            catch_up=not one.no_catchup,
            at_once=int(one.max_concurrency or 1),
            service_account=one.service_account or "",
            pipeline_root=(runtime.pipeline_root if runtime else None) or "",
            enabled=one.status != "DISABLED",
        )
        return Found(one.recurring_run_id, one.description == MARK, standing)

    def _name(self, service: Callable[..., Any], *ids: str) -> str:
        return str(self._ask(service, *ids).display_name)

    def _model(self, kind: str, /, **values: Any) -> Any:
        return getattr(self._client.api_models, f"V2beta1{kind}")(**{k: v for k, v in values.items() if v != ""})

    def _all(self, service: Callable[..., Any], name: str, *ids: str, **asked: Any) -> list[Any]:
        found: list[Any] = []
        given = {key: value for key, value in asked.items() if value}
        token = ""
        while True:
            page = self._ask(service, *ids, page_size=_PAGE, page_token=token, **given)
            found += getattr(page, name) or []
            token = page.next_page_token or ""
            if not token:
                return found

    def _ask(self, service: Callable[..., Any], *what: Any, **more: Any) -> Any:
        with explained(self.host):
            return service(*what, **more)


def _named(name: str) -> str:
    return _equals("display_name", name)


def _equals(key: str, value: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})
