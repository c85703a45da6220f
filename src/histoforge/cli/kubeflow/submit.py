"""`histoforge submit`: start a run of an uploaded pipeline on Kubeflow, and follow it."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histoforge import __version__
from histoforge.cli.steps import FILE, SET, TEST_SOURCE, read_settings
from histoforge.core.errors import SettingsError
from histoforge.core.progress import say
from histoforge.core.settings import parse_overrides

if TYPE_CHECKING:
    from histoforge.cluster.packages import Package

FAILED = 1
PROFILE = Annotated[
    str, typer.Option("--profile", metavar="NAME", help="resource profile: 'small', 'gpu', 'multi-gpu', or a YAML file")
]
EXPERIMENT = Annotated[str, typer.Option("--experiment", help="experiment that lists the run")]
ROOT = Annotated[
    str, typer.Option("--pipeline-root", metavar="URI", help="location of the artifacts [default: the namespace's]")
]
ACCOUNT = Annotated[
    str,
    typer.Option("--service-account", metavar="NAME", help="service account of the pods [default: the namespace's]"),
]
VERSION = Annotated[
    str, typer.Option("--version", metavar="NAME", help="version of the pipeline [default: that of this program]")
]


def submit(
    pipeline: Annotated[str, typer.Argument(help="an uploaded pipeline, such as 'selective-augmentation'")],
    source: Annotated[str, typer.Option("--source", help="s3:// or minio:// prefix of slides or images")] = "",
    test_source: TEST_SOURCE = "",
    preset: Annotated[str, typer.Option("--preset", metavar="NAME", help="settings to start from")] = "",
    assignments: SET = None,
    config_file: FILE = None,
    profile: PROFILE = "",
    version: VERSION = "",
    experiment: EXPERIMENT = "histoforge",
    name: Annotated[
        str, typer.Option("--name", help="name of the run [default: the pipeline's name and the time]")
    ] = "",
    pipeline_root: ROOT = "",
    service_account: ACCOUNT = "",
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="wait until the run ends")] = True,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", help="time between two checks of the run")
    ] = 5.0,
) -> None:
    """Start a run on Kubeflow and follow it; stopping this command does not stop the run.

    Prints each change of a task's state. For a task that fails, prints its error message and the command that shows its
    log. The message is read from the pod's log if the kubeconfig gives access to the cluster, or else from the artifact
    executor-logs below --pipeline-root.
    """
    from histoforge.cli.kubeflow.client import KubeflowClient
    from histoforge.cli.kubeflow.follow import follow_run
    from histoforge.cli.kubeflow.namespace import check_namespace
    from histoforge.cli.kubeflow.uploads import version_on
    from histoforge.cluster.packages import open_package
    from histoforge.cluster.run_parameters import run_parameters
    from histoforge.cluster.schedules import RecurringRun

    package = open_package(pipeline)
    given = {**read_settings(config_file), **parse_overrides(assignments or [])}
    parameters = run_parameters(
        package, profile, _pipeline_arguments(package, given, source=source, test_source=test_source, preset=preset)
    )
    kubeflow = KubeflowClient()
    ids = version_on(kubeflow, package.name, version or __version__, profile)
    check_namespace(kubeflow.namespace, profile, parameters, pipeline_root)
    name = name or f"{package.name} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())}"
    definition = RecurringRun(
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
    run_id = kubeflow.start(name, ids, definition)
    print(f"{kubeflow.host}/#/runs/details/{run_id}")
    try:
        if follow and follow_run(kubeflow, run_id, ids, definition, every) != "SUCCEEDED":
            sys.exit(FAILED)
    except KeyboardInterrupt:
        say(f"the run {run_id} continues")
        raise


def _pipeline_arguments(package: "Package", given: dict[str, Any], **options: str) -> dict[str, Any]:
    """Return the pipeline's parameters: the options and given values that it has, and the others as overrides."""
    parameters: dict[str, Any] = {name: value for name, value in options.items() if value}
    parameters.update({name: value for name, value in given.items() if name in package.inputs})
    overrides = {name: value for name, value in given.items() if name not in package.inputs}
    if overrides and "overrides" not in package.inputs:
        package.check({**parameters, **overrides})
    if overrides:
        given_overrides = parameters.get("overrides", {})
        if not isinstance(given_overrides, dict):
            raise SettingsError(
                "'overrides' must be a mapping: set single values, as in '--set train_generator.epochs=3'."
            )
        parameters["overrides"] = {**given_overrides, **overrides}
    return parameters
