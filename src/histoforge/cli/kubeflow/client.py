"""A client of Kubeflow Pipelines that returns the project's types and reports errors as single sentences."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histoforge.cli.kubeflow.connection import connect, explained
from histoforge.cluster.schedules import MARK, DeployedRun, RecurringRun

_PAGE = 100
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
"""Final states of a run."""


class KubeflowClient:
    """A connection to the API server; no request is sent before a method is called."""

    def __init__(self) -> None:
        self.host, self._client = connect()
        self.namespace = os.environ.get("KFP_NAMESPACE") or self._client.get_user_namespace() or ""

    def pipeline(self, name: str) -> str:
        """Return the id of a pipeline, or '' if none has that name."""
        service = self._client.pipelines.pipeline_service_list_pipelines
        pipelines = self._list(service, "pipelines", namespace=self.namespace, filter=_named(name))
        return str(pipelines[0].pipeline_id) if pipelines else ""

    def create_pipeline(self, name: str, about: str) -> str:
        """Create a pipeline without versions, and return its id."""
        body = self._model("Pipeline", display_name=name, name=name, description=about, namespace=self.namespace)
        return str(self._call(self._client.pipelines.pipeline_service_create_pipeline, body).pipeline_id)

    def versions(self, pipeline: str) -> dict[str, Any]:
        """Return the versions of a pipeline by their names in the UI."""
        service = self._client.pipelines.pipeline_service_list_pipeline_versions
        return {version.display_name: version for version in self._list(service, "pipeline_versions", pipeline)}

    def description(self, pipeline: str) -> str:
        """Return the description of a pipeline."""
        return str(self._call(self._client.pipelines.pipeline_service_get_pipeline, pipeline).description or "")

    def delete_version(self, pipeline: str, version: str) -> None:
        """Delete a version of a pipeline, given both ids."""
        self._call(self._client.pipelines.pipeline_service_delete_pipeline_version, pipeline, version)

    def delete_pipeline(self, pipeline: str) -> None:
        """Delete a pipeline without versions; the server refuses to delete one that has versions."""
        self._call(self._client.pipelines.pipeline_service_delete_pipeline, pipeline)

    def spec(self, pipeline: tuple[str, str]) -> dict[str, Any]:
        """Return the compiled pipeline of a version, given the ids of pipeline and version."""
        version = self._call(self._client.pipelines.pipeline_service_get_pipeline_version, *pipeline)
        return dict(version.pipeline_spec or {})

    def upload(self, pipeline: str, name: str, path: Path, version: str, about: str) -> None:
        """Upload a compiled file as a version of a pipeline, given the pipeline's id and name.

        The version's own name contains the pipeline's, because it names a Kubernetes resource where pipelines are
        such resources.
        """
        self._call(
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
        experiments = self._list(service, "experiments", namespace=self.namespace, filter=_named(name))
        return str(experiments[0].experiment_id) if experiments else ""

    def delete_experiment(self, experiment: str) -> None:
        """Delete an experiment, but not its runs."""
        self._call(self._client.experiments.experiment_service_delete_experiment, experiment)

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, which is created if it does not exist."""
        if existing := self.find_experiment(name):
            return existing
        body = self._model("Experiment", display_name=name, namespace=self.namespace)
        return str(self._call(self._client.experiments.experiment_service_create_experiment, body).experiment_id)

    def start(self, name: str, pipeline: tuple[str, str], definition: RecurringRun) -> str:
        """Start a run of a pipeline's version, given their ids, and return the run's id."""
        body = self._model(
            "Run",
            display_name=name,
            experiment_id=self.experiment(definition.experiment),
            **self._run_arguments(pipeline, definition),
        )
        return str(self._call(self._client.runs.run_service_create_run, body).run_id)

    def run(self, run: str) -> Any:
        """Return a run with its tasks."""
        return self._call(self._client.runs.run_service_get_run, run)

    def active_runs(self, recurring_run: str) -> list[Any]:
        """Return the runs of a recurring run that are not finished."""
        return [run for run in self.runs_of("recurring_run_id", recurring_run) if run.state not in ENDED]

    def terminate(self, run: str) -> None:
        """Terminate a run in progress. It is shown as CANCELING, and as FAILED once its pods are gone."""
        self._call(self._client.runs.run_service_terminate_run, run)

    def runs_of(self, key: str, value: str) -> list[Any]:
        """Return the runs that have a value for a key, such as 'experiment_id'."""
        service = self._client.runs.run_service_list_runs
        return self._list(service, "runs", namespace=self.namespace, filter=_equals(key, value))

    def delete_run(self, run: str) -> None:
        """Delete a run from the list, together with its pods."""
        self._call(self._client.runs.run_service_delete_run, run)

    def recurring_runs(self) -> list[DeployedRun]:
        """Return all recurring runs of the namespace, or of the cluster if it has no namespaces."""
        service = self._client.recurring_runs.recurring_run_service_list_recurring_runs
        return [_deployed(run, {}) for run in self._list(service, "recurring_runs", namespace=self.namespace)]

    def with_names(self, recurring_run: DeployedRun) -> DeployedRun:
        """Return a recurring run with names in place of the ids of its experiment, pipeline and version."""
        names = {}
        definition = recurring_run.definition
        if definition.experiment:
            get = self._client.experiments.experiment_service_get_experiment
            names[definition.experiment] = self._name(get, definition.experiment)
        if definition.pipeline:
            names[definition.pipeline] = self._name(
                self._client.pipelines.pipeline_service_get_pipeline, definition.pipeline
            )
            if definition.version:
                get = self._client.pipelines.pipeline_service_get_pipeline_version
                names[definition.version] = self._name(get, definition.pipeline, definition.version)
        get = self._client.recurring_runs.recurring_run_service_get_recurring_run
        return _deployed(self._call(get, recurring_run.id), names)

    def create_recurring_run(self, pipeline: tuple[str, str], definition: RecurringRun) -> str:
        """Create a recurring run of a pipeline's version, given their ids, and return its id."""
        body = self._model(
            "RecurringRun",
            display_name=definition.name,
            description=MARK,
            experiment_id=self.experiment(definition.experiment),
            mode="ENABLE" if definition.enabled else "DISABLE",
            no_catchup=not definition.catch_up,
            max_concurrency=str(definition.at_once),
            trigger=self._model("Trigger", cron_schedule=self._model("CronSchedule", cron=definition.cron)),
            **self._run_arguments(pipeline, definition),
        )
        service = self._client.recurring_runs.recurring_run_service_create_recurring_run
        return str(self._call(service, body).recurring_run_id)

    def enable(self, recurring_run: str, enabled: bool) -> None:
        """Enable or pause a recurring run."""
        runs = self._client.recurring_runs
        service = runs.recurring_run_service_enable_recurring_run
        self._call(service if enabled else runs.recurring_run_service_disable_recurring_run, recurring_run)

    def delete(self, recurring_run: str) -> None:
        """Delete a recurring run, but not the runs that it started.

        Its ScheduledWorkflow owns the Workflows of its runs. Kubernetes would delete these with it, and Kubeflow would
        show their runs as running for ever. ORPHAN keeps a run alive that began after the caller looked for active ones
        (`DeleteRecurringRunRequest` in backend/api/v2beta1/recurring_run.proto of kubeflow/pipelines at 7b70c7b95f).
        """
        service = self._client.recurring_runs.recurring_run_service_delete_recurring_run
        self._call(service, recurring_run, propagation_policy="ORPHAN")

    def _run_arguments(self, pipeline: tuple[str, str], definition: RecurringRun) -> dict[str, Any]:
        reference = self._model("PipelineVersionReference", pipeline_id=pipeline[0], pipeline_version_id=pipeline[1])
        runtime = self._model(
            "RuntimeConfig", parameters=definition.parameters, pipeline_root=definition.pipeline_root or None
        )
        return {
            "pipeline_version_reference": reference,
            "runtime_config": runtime,
            "service_account": definition.service_account or None,
        }

    def _name(self, service: Callable[..., Any], *ids: str) -> str:
        return str(self._call(service, *ids).display_name)

    def _model(self, kind: str, /, **values: Any) -> Any:
        return getattr(self._client.api_models, f"V2beta1{kind}")(**{k: v for k, v in values.items() if v != ""})

    def _list(self, service: Callable[..., Any], kind: str, *ids: str, **query: Any) -> list[Any]:
        """Return the items of all pages of a list."""
        items: list[Any] = []
        query = {key: value for key, value in query.items() if value}
        token = ""
        while True:
            page = self._call(service, *ids, page_size=_PAGE, page_token=token, **query)
            items += getattr(page, kind) or []
            token = page.next_page_token or ""
            if not token:
                return items

    def _call(self, service: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with explained(self.host):
            return service(*arguments, **options)


def _deployed(run: Any, names: dict[str, str]) -> DeployedRun:
    """Return a recurring run as the API server describes it, with `names` in place of the ids that they have."""
    reference, runtime = run.pipeline_version_reference, run.runtime_config
    pipeline = (reference.pipeline_id if reference else "") or ""
    version = (reference.pipeline_version_id if reference else "") or ""
    cron = run.trigger.cron_schedule.cron if run.trigger and run.trigger.cron_schedule else ""
    definition = RecurringRun(
        name=run.display_name,
        experiment=names.get(run.experiment_id or "", run.experiment_id or ""),
        pipeline=names.get(pipeline, pipeline),
        version=names.get(version, version),
        cron=cron,
        parameters=dict((runtime.parameters if runtime else None) or {}),
        catch_up=not run.no_catchup,
        at_once=int(run.max_concurrency or 1),
        service_account=run.service_account or "",
        pipeline_root=(runtime.pipeline_root if runtime else None) or "",
        enabled=run.status != "DISABLED",
    )
    return DeployedRun(run.recurring_run_id, run.description == MARK, definition)


def _named(name: str) -> str:
    return _equals("display_name", name)


def _equals(key: str, value: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})
