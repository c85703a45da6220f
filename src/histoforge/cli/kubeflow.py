"""Kubeflow Pipelines as the commands see it: found by kfp's own settings, answering in our words or with one sentence.

Where it is and who asks comes from the environment and kfp's context file alone: `KF_PIPELINES_ENDPOINT` or
`KFP_ENDPOINT`, `KFP_NAMESPACE`, `KFP_EXISTING_TOKEN`, `KF_PIPELINES_SA_TOKEN_PATH` (a projected token in a pod),
`KFP_COOKIES`, `SSL_CERT_FILE`; without an endpoint, the service in the cluster, or the kubeconfig's.
"""

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from histoforge.cluster.errors import ClusterError
from histoforge.cluster.schedules import MARK, Found, Standing

_PAGE = 100
_REFUSED = (401, 403)
_NOWHERE = "http://localhost"
"""The host of a kfp client that was given none and found no kubeconfig."""


class Kubeflow:
    """A connection to the API server; nothing is asked of it before a method is called."""

    def __init__(self) -> None:
        self.host, self._client = _connect()
        self.namespace = os.environ.get("KFP_NAMESPACE") or self._client.get_user_namespace() or ""

    def pipeline(self, name: str) -> str:
        """The id of a pipeline, or '' where there is none of that name."""
        service = self._client.pipelines.pipeline_service_list_pipelines
        found = self._all(service, "pipelines", namespace=self.namespace, filter=_named(name))
        return str(found[0].pipeline_id) if found else ""

    def create_pipeline(self, name: str, about: str) -> str:
        """Make a pipeline without versions; returns its id."""
        body = self._model("Pipeline", display_name=name, name=name, description=about, namespace=self.namespace)
        return str(self._ask(self._client.pipelines.pipeline_service_create_pipeline, body).pipeline_id)

    def versions(self, pipeline: str) -> dict[str, Any]:
        """The versions of a pipeline by the name that the UI shows."""
        service = self._client.pipelines.pipeline_service_list_pipeline_versions
        return {one.display_name: one for one in self._all(service, "pipeline_versions", pipeline)}

    def upload(self, pipeline: str, name: str, path: Path, version: str, about: str) -> None:
        """Make a compiled file a version of a pipeline, given by id and name.

        The version's own name has the pipeline's in it: where pipelines are Kubernetes resources, it is one's name.
        """
        self._ask(
            self._client._upload_api.upload_pipeline_version,
            str(path),
            name=f"{name}-{version}",
            display_name=version,
            pipelineid=pipeline,
            description=about,
        )

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is made where it is not there."""
        service = self._client.experiments.experiment_service_list_experiments
        found = self._all(service, "experiments", namespace=self.namespace, filter=_named(name))
        if found:
            return str(found[0].experiment_id)
        body = self._model("Experiment", display_name=name, namespace=self.namespace)
        return str(self._ask(self._client.experiments.experiment_service_create_experiment, body).experiment_id)

    def start(self, name: str, pipeline: tuple[str, str], wanted: Standing) -> str:
        """Start a run of a pipeline's version, given by their ids; returns the run's id."""
        body = self._model(
            "Run",
            display_name=name,
            experiment_id=self.experiment(wanted.experiment),
            **self._what_runs(pipeline, wanted),
        )
        return str(self._ask(self._client.runs.run_service_create_run, body).run_id)

    def run(self, run: str) -> Any:
        """A run with its tasks."""
        return self._ask(self._client.runs.run_service_get_run, run)

    def recurring_runs(self) -> list[Found]:
        """All recurring runs of the namespace, or of the cluster where it has no namespaces."""
        service = self._client.recurring_runs.recurring_run_service_list_recurring_runs
        return [self._found(one, {}) for one in self._all(service, "recurring_runs", namespace=self.namespace)]

    def recurring_run(self, found: Found) -> Found:
        """The same with names for the ids of its experiment, pipeline and version."""
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
        """Make a recurring run of a pipeline's version, given by their ids; returns its id."""
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
        """Let a recurring run go on, or pause it."""
        runs = self._client.recurring_runs
        service = runs.recurring_run_service_enable_recurring_run
        self._ask(service if enabled else runs.recurring_run_service_disable_recurring_run, recurring_run)

    def delete(self, recurring_run: str) -> None:
        """Delete a recurring run; the runs that it started stay."""
        self._ask(self._client.recurring_runs.recurring_run_service_delete_recurring_run, recurring_run)

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
        with _explained(self.host):
            return service(*what, **more)


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": name}]})


def _connect() -> tuple[str, Any]:
    endpoint = os.environ.get("KF_PIPELINES_ENDPOINT") or os.environ.get("KFP_ENDPOINT")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        from kfp import client

        class Client(client.Client):
            """kfp's client, which asks the server once how it is: its own asks five times, whatever it hears."""

            def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
                if not endpoint and self._existing_config.host == _NOWHERE:
                    raise ClusterError(
                        "It is not known where Kubeflow Pipelines is: set KF_PIPELINES_ENDPOINT, such as "
                        "'http://localhost:8080' after 'kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80'."
                    )
                answer = self._healthz_api.healthz_service_get_healthz(_preload_content=False)
                health = json.loads(answer.data)
                return self.api_models.V2beta1GetHealthzResponse(multi_user=health.get("multi_user"))

        in_pod = os.environ.get(client.KF_PIPELINES_SA_TOKEN_ENV)
        with _explained(endpoint or "the cluster of the kubeconfig"):
            made = Client(
                host=endpoint,
                existing_token=os.environ.get("KFP_EXISTING_TOKEN"),
                cookies=os.environ.get("KFP_COOKIES"),
                ssl_ca_cert=os.environ.get("SSL_CERT_FILE"),
                credentials=client.ServiceAccountTokenVolumeCredentials() if in_pod else None,
            )
            made.get_kfp_healthz()
    return str(made._existing_config.host), made


@contextlib.contextmanager
def _explained(host: str) -> Iterator[None]:
    """Turn what the server or the network says into one sentence."""
    from kfp_server_api.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        said = _said(error)
        if error.status in _REFUSED:
            raise ClusterError(
                f"Kubeflow at {host} refuses ({said}): give a token in KFP_EXISTING_TOKEN, or ask for access to the "
                "namespace in KFP_NAMESPACE."
            ) from None
        raise ClusterError(f"Kubeflow at {host} answers {error.status} ({said}): correct what it names.") from None
    except (HTTPError, OSError) as error:
        reason = str(getattr(error, "reason", error)).rpartition(": ")[2]
        raise ClusterError(f"Kubeflow at {host} does not answer ({reason}): check KF_PIPELINES_ENDPOINT.") from None
    except json.JSONDecodeError:
        raise ClusterError(
            f"{host} does not answer as Kubeflow Pipelines does, but perhaps with a page to log in: check "
            "KF_PIPELINES_ENDPOINT, and give a token in KFP_EXISTING_TOKEN."
        ) from None


def _said(error: Any) -> str:
    try:
        text = str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        text = str(error.reason)
    return " ".join(text.split())[:300].rstrip(".")
