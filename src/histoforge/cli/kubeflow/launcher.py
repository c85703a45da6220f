"""`histoforge launcher`: add the object store of runs to those that a namespace's pods can use."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from histoforge.cluster.errors import ClusterError
from histoforge.tasks.kubernetes import Kubernetes, KubernetesError, connect_kubernetes

FILE = Annotated[Path, typer.Argument(metavar="FILE", help="YAML file of a config map with the stores to add")]
NAMESPACE = Annotated[
    str, typer.Option("--namespace", metavar="NAME", help="namespace of the runs [default: KFP_NAMESPACE, or kubeflow]")
]
DEFAULT = Path("manifests/base/launcher.yaml")


def launcher_app() -> typer.Typer:
    """Return the command `launcher` with its subcommands."""
    app = typer.Typer(
        help="Add the object store of runs to Kubeflow's config map 'kfp-launcher'.", no_args_is_help=True
    )
    for command in (diff, apply):
        app.command()(command)
    return app


def diff(file: FILE = DEFAULT, namespace: NAMESPACE = "") -> None:
    """Show what 'apply' would change; exits with 1 if there are changes."""
    change = _plan(file, namespace)[2]
    _show(change)
    if change:
        raise typer.Exit(1)


def apply(file: FILE = DEFAULT, namespace: NAMESPACE = "") -> None:
    """Add the stores; other entries, and a default root that is already set, stay as they are."""
    api, config_map, change = _plan(file, namespace)
    _show(change)
    if not change:
        return
    try:
        api.write_config_map(config_map)
    except KubernetesError as error:
        raise ClusterError(
            f"The config map 'kfp-launcher' was not changed ({error}): ask for permission to update it, or run this "
            "command again if somebody else changed it at the same time."
        ) from None


def _plan(file: Path, namespace: str) -> tuple[Kubernetes, dict[str, Any], str]:
    """Return the connection, the config map as it should be, and the change as a diff."""
    from histoforge.cluster.launcher import CONFIG_MAP, describe_change, merge_launcher, read_launcher

    wanted = read_launcher(file)
    namespace = namespace or os.environ.get("KFP_NAMESPACE") or "kubeflow"
    api = connect_kubernetes()
    if api is None:
        raise ClusterError("No cluster is configured: set KUBECONFIG to the file that describes it.")
    try:
        current = api.get("", "v1", "configmaps", CONFIG_MAP, namespace)
    except KubernetesError as error:
        raise ClusterError(
            f"The config map '{CONFIG_MAP}' of the namespace '{namespace}' cannot be read ({error}): check KUBECONFIG "
            "and the namespace."
        ) from None
    before = (current or {}).get("data") or {}
    merged = merge_launcher(before, wanted)
    metadata = {"name": CONFIG_MAP, "namespace": namespace}
    config_map = {**(current or {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}), "data": merged}
    return api, config_map, describe_change(before, merged)


def _show(change: str) -> None:
    print(change or "nothing to change")
