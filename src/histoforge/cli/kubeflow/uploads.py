"""`histoforge pipelines`: upload compiled pipelines to a cluster as versions with the name of the program's version."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from histoforge import __version__
from histoforge.cluster.errors import ClusterError

if TYPE_CHECKING:
    from histoforge_pipelines.profiles import Profile

    from histoforge.cli.kubeflow.client import KubeflowClient
    from histoforge.cluster.packages import Package

NAMES = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PIPELINE]…", help="name, or compiled YAML file [default: all pipelines of this program]"),
]
VERSION = Annotated[
    str,
    typer.Option("--version", metavar="NAME", help="version of the pipeline [default: that of this program]"),
]


def pipelines_app() -> typer.Typer:
    """Return the command `pipelines` with its subcommands."""
    app = typer.Typer(help="List the pipelines, or upload them to Kubeflow.", no_args_is_help=True)
    app.command("list")(show)
    app.command()(upload)
    app.command()(manifests)
    return app


def show() -> None:
    """List the pipelines that come with the program."""
    from histoforge.cluster.packages import open_package, package_names

    for name in package_names():
        print(f"{name:<26} {open_package(name).about.splitlines()[0]}")


def upload(names: NAMES = None, version: VERSION = "") -> None:
    """Upload pipelines to Kubeflow, each as a version with the name of this program's version.

    A version that already exists with the same content is left unchanged; a version is never replaced.
    """
    from histoforge.cli.kubeflow.client import KubeflowClient
    from histoforge.cluster.packages import open_package, package_names

    packages = [open_package(name) for name in names or package_names()]
    upload_packages(KubeflowClient(), packages, version or __version__)


def manifests(name: Annotated[str, typer.Argument(metavar="PIPELINE", help="name, or compiled YAML file")]) -> None:
    """Print a pipeline as Kubernetes resources, for a Kubeflow that stores its pipelines in Kubernetes."""
    from histoforge_pipelines.gitops import gitops_resources

    from histoforge.cluster.packages import open_package

    print(gitops_resources(open_package(name).path, __version__), end="")


def upload_packages(kubeflow: "KubeflowClient", packages: "Sequence[Package]", version: str) -> None:
    """Upload each package as the version `version` of its pipeline.

    Raises:
        ClusterError: if a version of that name has other content; nothing is uploaded then.
    """
    missing = []
    for package in packages:
        about, pipeline = f"histoforge {__version__}, sha256 {package.digest}", kubeflow.pipeline(package.name)
        existing = kubeflow.versions(pipeline).get(version) if pipeline else None
        if existing is None:
            missing.append((package, pipeline, about))
        elif package.digest not in (existing.description or ""):
            raise ClusterError(
                f"The version {version} of '{package.name}' already exists with different content, and versions never "
                "change: give this one another name with --version."
            )
        else:
            print(f"{package.name} {version} already uploaded")
    for package, pipeline, about in missing:
        pipeline_id = pipeline or kubeflow.create_pipeline(package.name, package.about)
        kubeflow.upload(pipeline_id, package.name, package.path, version, about)
        print(f"{package.name} {version} uploaded")


def version_on(kubeflow: "KubeflowClient", name: str, version: str, profile: str = "") -> tuple[str, str]:
    """Return the ids of a pipeline and of its version on the cluster.

    Raises:
        ClusterError: if the pipeline or the version does not exist, or was compiled without a setting of the profile
            that no parameter can set.
    """
    from histoforge_pipelines.profiles import profile_named

    pipeline = kubeflow.pipeline(name)
    existing = kubeflow.versions(pipeline).get(version) if pipeline else None
    if existing is None:
        missing = f"the version {version} of the pipeline '{name}'" if pipeline else f"no pipeline '{name}'"
        raise ClusterError(
            f"Kubeflow has {'not ' if pipeline else ''}{missing}: run 'histoforge pipelines upload {name}' first."
        )
    platform = (existing.pipeline_spec or {}).get("platform_spec")
    text = json.dumps(platform)
    for kind, value, snippet in _compiled_in(profile_named(profile or "gpu")):
        if platform and snippet not in text:
            raise ClusterError(
                f"The version {version} of '{name}' was compiled without the {kind} '{value}', which its tasks "
                f"therefore would not use: compile it with HISTOFORGE_PROFILE={profile} and upload it."
            )
    return pipeline, str(existing.pipeline_version_id)


def _compiled_in(profile: "Profile") -> list[tuple[str, str, str]]:
    """Return the settings that a profile compiles into every task: kind, name, and their text in the compiled file."""
    from histoforge_pipelines.profiles import QUEUE_LABEL

    settings = [("queue", profile.queue, f'"{QUEUE_LABEL}": "{profile.queue}"')] if profile.queue else []
    references = [("pull secret", secret) for secret in profile.image_pull_secrets]
    references += [("config map", config_map) for config_map in (profile.ca_config_map, *profile.environment_from)]
    references += [("secret", profile.ca_secret)]
    return settings + [(kind, name, f'"{name}"') for kind, name in references if name]
