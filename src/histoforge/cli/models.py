"""`histoforge models`: list published models, show model cards, fetch a version, and roll back to one."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histoforge.cli.outputs import OVERWRITE, check_folder, local_path, placed
from histoforge.core.claims import Output, claimed, command_digest, record, recorded
from histoforge.core.errors import ModelError, SettingsError

if TYPE_CHECKING:
    from histoforge.models import ModelStore, Publication
    from histoforge.storage import Location

VARIABLE = "HISTOFORGE_MODELS"
MODELS = Annotated[
    str, typer.Option("--models", metavar="LOCATION", help=f"folder, or s3:// or minio:// prefix [default: {VARIABLE}]")
]
NAME = Annotated[str, typer.Argument(help="what the model is published as")]
VERSION = Annotated[str, typer.Argument(help="a version; without one, the champion")]


def add_models(app: typer.Typer) -> None:
    """Add the commands of `models` to `app`."""
    models = typer.Typer(help="List, show, fetch and roll back published models.", no_args_is_help=True)
    models.command("list")(list_models)
    models.command("show")(show)
    models.command("pull")(pull)
    models.command("rollback")(rollback)
    app.add_typer(models, name="models")


def list_models(
    name: Annotated[str, typer.Argument(help="list the versions of one, and how its champion changed")] = "",
    models: MODELS = "",
) -> None:
    """List the published models, or the versions of one."""
    from histoforge.models import ModelStore, model_names

    if name:
        return _list_versions(_registry(name, models))
    location = _location(models)
    names = model_names(location)
    if not names:
        print(f"Nothing is published at {location}.")
    for found in names:
        registry = ModelStore(location, found)
        champion = registry.champion()
        if champion is not None:
            print(f"{found:<24} {champion.version}  {champion.time}  {len(registry.versions())} versions")


def show(name: NAME, version: VERSION = "", models: MODELS = "") -> None:
    """Show a model card."""
    registry = _registry(name, models)
    chosen = version or _champion(registry).version
    print(f"{registry}/{chosen}\n\n{registry.card(chosen).as_markdown()}", end="")


def pull(
    name: NAME,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="folder to write: model/, README.md, …")],
    version: VERSION = "",
    models: MODELS = "",
    overwrite: OVERWRITE = False,
) -> None:
    """Fetch a version, verified, with its model card."""
    out = placed(out)
    check_folder(out)
    registry = _registry(name, models)
    place = local_path(models or os.environ.get(VARIABLE, ""))
    chosen = version or _champion(registry).version
    digest = command_digest({"name": name, "version": chosen}, {"models": place})
    same = recorded(out, "models pull") == digest
    with claimed([Output(out, "version")], {"--models": place} if place else {}, overwrite=overwrite, same=same):
        fetched = registry.fetch(chosen, out)
        record(out, "models pull", digest)
    print(fetched)


def rollback(
    name: NAME,
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="the version to go back to")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="why; it stays in the history")],
    models: MODELS = "",
) -> None:
    """Make a former version the champion again; nothing is deleted."""
    if not reason.strip():
        raise SettingsError("models rollback: '--reason' is empty: say why, for those who read the history.")
    done = _registry(name, models).rollback(to, reason.strip())
    print(f"{name}: {done.version} is the champion again, in place of {done.replaces or 'none'}")


def _list_versions(registry: "ModelStore") -> None:
    champion, history = _champion(registry), registry.history()
    for version in registry.versions():
        last = next((one for one in reversed(history) if one.version == version), None)
        mark = "champion" if version == champion.version else "" if last else "never champion"
        accuracy = registry.card(version).scores.get("accuracy")
        value = "-" if accuracy is None or accuracy.value is None else f"{accuracy.value:.3f}"
        print(f"{version}  accuracy {value}  {mark}".rstrip())
    print()
    for one in history:
        print(f"{one.time}  {one.action:<8}  {one.version}  {one.reason}")


def _champion(registry: "ModelStore") -> "Publication":
    champion = registry.champion()
    if champion is None:
        from histoforge.core.settings import nearest
        from histoforge.models import model_names

        known = model_names(registry.models)
        listed = ", ".join(known) or "nothing yet"
        raise ModelError(
            f"No '{registry.name}' is published at {registry.models}{nearest(registry.name, known)}: there is {listed}."
        )
    return champion


def _registry(name: str, models: str) -> "ModelStore":
    from histoforge.models import ModelStore

    return ModelStore(_location(models), name)


def _location(models: str) -> "Location":
    from histoforge.storage import open_location

    text = models or os.environ.get(VARIABLE, "")
    if not text:
        raise SettingsError(f"No location of published models is named: give '--models' or set {VARIABLE}.")
    return open_location(text)
