"""The command `cluster-check`: run the chosen checks, print a table, write a JSON file, and clean up."""

import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from histoforge import __version__
from histoforge.core.errors import HistoforgeError, SettingsError
from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.core.settings import nearest
from histoforge.core.signals import sigterm_as_interrupt

FAILED = 1


@dataclass(frozen=True)
class Result:
    """The result of a check.

    Attributes:
        check: its name.
        ok: True if the check passed.
        seconds: duration of the check.
        detail: the observation, or the fault.
    """

    check: str
    ok: bool
    seconds: float
    detail: str


STORE = Annotated[
    str,
    typer.Option("--store", metavar="URI", help="s3:// or minio:// prefix; the check writes to a new prefix in it"),
]
ONLY = Annotated[list[str] | None, typer.Option("--only", metavar="CHECK", help="run only this check; repeatable")]
IMAGE = Annotated[str, typer.Option("--image", help="image of all tasks [default: those of the pipelines]")]
PROFILE = Annotated[str, typer.Option("--profile", metavar="NAME", help="resource profile of the tasks")]
CPU = Annotated[str, typer.Option("--cpu", help="cores per task, such as '2' [default: the profile's]")]
MEMORY = Annotated[str, typer.Option("--memory", help="memory per task, such as '4Gi' [default: the profile's]")]
SECRET = Annotated[
    str,
    typer.Option("--storage-secret", metavar="NAME", help="secret of the store [default: the pipelines']"),
]
ACCOUNT = Annotated[
    str,
    typer.Option("--service-account", metavar="NAME", help="service account of the pods [default: the namespace's]"),
]
BEYOND = Annotated[
    float, typer.Option("--beyond", metavar="SECONDS", help="time for which a training runs before its pod is killed")
]
EVERY = Annotated[float, typer.Option("--every", metavar="SECONDS", help="time between two checks of a run")]
LIMIT = Annotated[float, typer.Option("--limit", metavar="MINUTES", help="maximum time to wait for a run")]
OUT = Annotated[Path, typer.Option("--out", metavar="FILE", help="JSON file for the results")]
KEEP = Annotated[bool, typer.Option("--keep", help="keep everything that the check creates, for inspection")]
CLEAN = Annotated[str, typer.Option("--clean", metavar="NAME", help="only delete what an earlier check created")]


def cluster_check(
    store: STORE,
    image: IMAGE = "",
    only: ONLY = None,
    profile: PROFILE = "small",
    cpu: CPU = "",
    memory: MEMORY = "",
    storage_secret: SECRET = "",
    service_account: ACCOUNT = "",
    beyond: BEYOND = 330.0,
    every: EVERY = 5.0,
    limit: LIMIT = 60.0,
    out: OUT = Path("cluster-check.json"),
    keep: KEEP = False,
    clean: CLEAN = "",
) -> None:
    """Test that a cluster runs these pipelines, and delete everything afterwards; exits with 0 or 1.

    Uploads the pipelines as a temporary version, runs each with tiny images and settings, starts a run whose
    source does not exist, reads report and metrics, lets a schedule start two runs, and kills a training pod. The
    address of Kubeflow comes from KF_PIPELINES_ENDPOINT, the namespace from KFP_NAMESPACE, the store's server and key
    from the environment, and access to pods from the kubeconfig.
    """
    from histoforge.cli.kubeflow.check.checked_cluster import CheckedCluster, Options
    from histoforge.cli.kubeflow.check.checks import CHECKS
    from histoforge.cli.kubeflow.client import KubeflowClient
    from histoforge.tasks.kubernetes import connect_kubernetes

    for name in only or ():
        if name not in CHECKS:
            raise SettingsError(f"There is no check '{name}'{nearest(name, CHECKS)}: choose from {', '.join(CHECKS)}.")
    if not store.startswith(("s3://", "minio://")):
        raise SettingsError(f"The cluster cannot reach the store '{store}': give s3://bucket/prefix.")
    options = Options(store, image, profile, cpu, memory, storage_secret, service_account, every, limit * 60, beyond)
    name = clean or f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    cluster = CheckedCluster(name, options, KubeflowClient(), connect_kubernetes())
    with sigterm_as_interrupt():
        results = [_clean_up(cluster)] if clean else _run_checks(cluster, only or list(CHECKS), out, keep)
    if not all(result.ok for result in results):
        raise typer.Exit(FAILED)


def _run_checks(cluster: Any, names: list[str], out: Path, keep: bool) -> list[Result]:
    """Run checks; whatever their result, clean up, and write and print the results."""
    say(f"cluster-check {cluster.name}: writes below {cluster.address()} and in the experiment {cluster.scratch}")
    results: list[Result] = []
    try:
        for name in names:
            results.append(_run_check(cluster, name))
            print(_line(results[-1]), flush=True)
            _write(cluster, results, out)
    finally:
        if keep:
            say(f"nothing was deleted: delete it with {_clean_command(cluster)}")
        else:
            results.append(_clean_up(cluster))
        _write(cluster, results, out)
    print("\n".join(["", *map(_line, results)]))
    return results


def _run_check(cluster: Any, name: str) -> Result:
    from histoforge.cli.kubeflow.check.checks import CHECKS

    started = time.monotonic()
    try:
        ok, detail = True, CHECKS[name](cluster)
    except HistoforgeError as error:
        ok, detail = False, str(error)
    return Result(name, ok, round(time.monotonic() - started, 1), detail)


def _clean_up(cluster: Any) -> Result:
    from histoforge.cli.kubeflow.check.cleanup import clean

    started = time.monotonic()
    try:
        failures = clean(cluster)
    except KeyboardInterrupt:
        say(f"the clean-up was interrupted: complete it with {_clean_command(cluster)}")
        raise
    result = Result(
        "clean", not failures, round(time.monotonic() - started, 1), " ".join(failures) or "nothing is left"
    )
    print(_line(result), flush=True)
    return result


def _clean_command(cluster: Any) -> str:
    return f"'histoforge cluster-check --store {cluster.options.store} --clean {cluster.name}'"


def _line(result: Result) -> str:
    return f"{'ok' if result.ok else 'FAILED':<7}{result.check:<24}{result.seconds:>8.1f} s  {result.detail}"


def _write(cluster: Any, results: list[Result], out: Path) -> None:
    content = {
        "name": cluster.name,
        "histoforge": __version__,
        "kubeflow": cluster.kubeflow.host,
        "namespace": cluster.namespace,
        "ok": all(result.ok for result in results),
        "options": asdict(cluster.options),
        "checks": [asdict(result) for result in results],
    }
    write_json(out, content)
