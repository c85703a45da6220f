"""`histoforge submit`: start a run of an uploaded pipeline on Kubeflow, and follow it until it ends."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histoforge import __version__
from histoforge.cli.steps import FILE, SET, read_settings
from histoforge.core.errors import SettingsError
from histoforge.core.progress import say
from histoforge.core.settings import parse_overrides

if TYPE_CHECKING:
    from histoforge.cluster.packages import Package

FAILED = 1
PROFILE = Annotated[
    str, typer.Option("--profile", metavar="NAME", help="resources: 'small', 'gpu', 'multi-gpu', or a YAML file")
]
EXPERIMENT = Annotated[str, typer.Option("--experiment", help="what the run is listed under")]
ROOT = Annotated[str, typer.Option("--pipeline-root", metavar="URI", help="where artifacts go, if not as usual")]
ACCOUNT = Annotated[str, typer.Option("--service-account", metavar="NAME", help="of the pods, if not as usual")]
VERSION = Annotated[str, typer.Option("--version", metavar="NAME", help="of the pipeline; '' for this program's")]


def submit(
    pipeline: Annotated[str, typer.Argument(help="an uploaded pipeline, such as 'selective-augmentation'")],
    source: Annotated[str, typer.Option("--source", help="s3:// or minio:// prefix of slides or images")] = "",
    preset: Annotated[str, typer.Option("--preset", metavar="NAME", help="settings to begin with")] = "",
    assignments: SET = None,
    config_file: FILE = None,
    profile: PROFILE = "",
    version: VERSION = "",
    experiment: EXPERIMENT = "histoforge",
    name: Annotated[str, typer.Option("--name", help="of the run, if not the pipeline's with the time")] = "",
    pipeline_root: ROOT = "",
    service_account: ACCOUNT = "",
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="stay until it ends")] = True,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", help="between two looks at it")] = 5.0,
) -> None:
    """Start a run on Kubeflow and follow it; stopping this command leaves the run going.

    Each task is named as in the UI, with its state whenever that changes; one that fails, with its last sentence and
    the command that shows its log. The sentence comes from the pod's log where the kubeconfig leads to the cluster, or
    else from the artifact executor-logs below --pipeline-root.
    """
    from histoforge.cli.following import follow_run
    from histoforge.cli.kubeflow import Kubeflow
    from histoforge.cli.namespace import check_namespace
    from histoforge.cli.uploads import version_on
    from histoforge.cluster.packages import open_package
    from histoforge.cluster.requests import run_parameters
    from histoforge.cluster.schedules import Standing

    package = open_package(pipeline)
    given = {**read_settings(config_file), **parse_overrides(assignments or [])}
    parameters = run_parameters(package, profile, _sorted(package, given, source=source, preset=preset))
    kubeflow = Kubeflow()
    ids = version_on(kubeflow, package.name, version or __version__, profile)
    check_namespace(kubeflow.namespace, profile, parameters, pipeline_root)
    name = name or f"{package.name} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())}"
    wanted = Standing(
        name=name,
        experiment=experiment,
        pipeline=package.name,
        version=version or __version__,
        cron="",
        parameters=parameters,
        catch_up=False,
        at_once=1,
        service_account=service_account,
        pipeline_root=pipeline_root,
        enabled=True,
    )
    run = kubeflow.start(name, ids, wanted)
    print(f"{kubeflow.host}/#/runs/details/{run}")
    try:
        if follow and follow_run(kubeflow, run, ids, wanted, every) != "SUCCEEDED":
            sys.exit(FAILED)
    except KeyboardInterrupt:
        say(f"the run {run} goes on")
        raise


def _sorted(package: "Package", given: dict[str, Any], **more: str) -> dict[str, Any]:
    """Split the given values into parameters of the pipeline and overrides."""
    parameters: dict[str, Any] = {name: value for name, value in more.items() if value}
    parameters.update({name: value for name, value in given.items() if name in package.inputs})
    overrides = {name: value for name, value in given.items() if name not in package.inputs}
    if overrides and "overrides" not in package.inputs:
        package.check({**parameters, **overrides})
    if overrides:
        own = parameters.get("overrides", {})
        if not isinstance(own, dict):
            raise SettingsError("'overrides' is a mapping: set single ones, as in '--set train_generator.epochs=3'.")
        parameters["overrides"] = {**own, **overrides}
    return parameters
