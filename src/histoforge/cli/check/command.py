"""The command: run the chosen checks one after the other, print a table, write a JSON file, and clean up."""

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
        ok: True if the cluster does what it should.
        seconds: duration of the check.
        detail: the observation, or the fault.
    """

    check: str
    ok: bool
    seconds: float
    detail: str


STORE = Annotated[
    str,
    typer.Option("--store", metavar="URI", help="s3:// or minio:// prefix; all is written to a new prefix below it"),
]
ONLY = Annotated[list[str] | None, typer.Option("--only", metavar="CHECK", help="make this check alone; repeatable")]
IMAGE = Annotated[str, typer.Option("--image", help="that all tasks run in; '' for those of the pipelines")]
PROFILE = Annotated[str, typer.Option("--profile", metavar="NAME", help="resources of the tasks")]
CPU = Annotated[str, typer.Option("--cpu", help="cores of each task, such as '2'; '' as the profile says")]
MEMORY = Annotated[str, typer.Option("--memory", help="memory of each task, such as '4Gi'; '' as the profile says")]
SECRET = Annotated[str, typer.Option("--storage-secret", metavar="NAME", help="the store's secret, if not as usual")]
ACCOUNT = Annotated[str, typer.Option("--service-account", metavar="NAME", help="of the pods, if not as usual")]
BEYOND = Annotated[float, typer.Option("--beyond", metavar="SECONDS", help="that a training runs until it is killed")]
EVERY = Annotated[float, typer.Option("--every", metavar="SECONDS", help="between two looks")]
LIMIT = Annotated[float, typer.Option("--limit", metavar="MINUTES", help="until a run is given up")]
OUT = Annotated[Path, typer.Option("--out", metavar="FILE", help="JSON file for the results")]
KEEP = Annotated[bool, typer.Option("--keep", help="leave everything there, to look at")]
CLEAN = Annotated[str, typer.Option("--clean", metavar="NAME", help="only take away what an earlier check left")]


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
    """Try out on a cluster that it runs these pipelines, and take everything away again; ends with 0 or 1.

    Uploads the pipelines under a scratch version, runs each with tiny images and settings, lets a source be missing,
    reads report and metrics back, lets a schedule fire twice, and kills a training pod. Where Kubeflow is comes from
    KF_PIPELINES_ENDPOINT, the namespace from KFP_NAMESPACE, the store's server and key from the environment as ever,
    and pods are seen through the kubeconfig.
    """
    from histoforge.cli.check.checks import CHECKS
    from histoforge.cli.check.site import Options, Site
    from histoforge.cli.kubeflow import Kubeflow
    from histoforge.cli.kubernetes import connect_kubernetes

    for name in only or ():
        if name not in CHECKS:
            raise SettingsError(f"There is no check '{name}'{nearest(name, CHECKS)}: choose among {', '.join(CHECKS)}.")
    if not store.startswith(("s3://", "minio://")):
        raise SettingsError(f"The store '{store}' is none that a cluster reaches: give s3://bucket/prefix.")
    options = Options(store, image, profile, cpu, memory, storage_secret, service_account, every, limit * 60, beyond)
    name = clean or f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    site = Site(name, options, Kubeflow(), connect_kubernetes())
    with sigterm_as_interrupt():
        results = [_take_away(site)] if clean else _make(site, only or list(CHECKS), out, keep)
    if not all(result.ok for result in results):
        raise typer.Exit(FAILED)


def _make(site: Any, names: list[str], out: Path, keep: bool) -> list[Result]:
    """Run checks; whatever their result, clean up, and write and print the results."""
    say(f"cluster-check {site.name}: all is made below {site.address()} and in the experiment {site.scratch}")
    results: list[Result] = []
    try:
        for name in names:
            results.append(_checked(site, name))
            print(_line(results[-1]), flush=True)
            _write(site, results, out)
    finally:
        if keep:
            say(f"everything stays: delete it with {_clean_command(site)}")
        else:
            results.append(_take_away(site))
        _write(site, results, out)
    print("\n".join(["", *map(_line, results)]))
    return results


def _checked(site: Any, name: str) -> Result:
    from histoforge.cli.check.checks import CHECKS

    began = time.monotonic()
    try:
        ok, detail = True, CHECKS[name](site)
    except HistoforgeError as error:
        ok, detail = False, str(error)
    return Result(name, ok, round(time.monotonic() - began, 1), detail)


def _take_away(site: Any) -> Result:
    from histoforge.cli.check.cleaning import clean

    began = time.monotonic()
    try:
        failures = clean(site)
    except KeyboardInterrupt:
        say(f"something may be left: delete it with {_clean_command(site)}")
        raise
    result = Result("clean", not failures, round(time.monotonic() - began, 1), " ".join(failures) or "nothing is left")
    print(_line(result), flush=True)
    return result


def _clean_command(site: Any) -> str:
    return f"'histoforge cluster-check --store {site.options.store} --clean {site.name}'"


def _line(result: Result) -> str:
    return f"{'ok' if result.ok else 'FAILED':<7}{result.check:<24}{result.seconds:>8.1f} s  {result.detail}"


def _write(site: Any, results: list[Result], out: Path) -> None:
    facts = {
        "name": site.name,
        "histoforge": __version__,
        "kubeflow": site.kubeflow.host,
        "namespace": site.namespace,
        "ok": all(result.ok for result in results),
        "options": asdict(site.options),
        "checks": [asdict(result) for result in results],
    }
    write_json(out, facts)
